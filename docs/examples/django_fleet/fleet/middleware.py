"""Answer 503 on all machines while the fleet is in maintenance."""

from django.http import HttpResponse

from fleet.mode import Mode, fleet_mode


def maintenance(get_response):
    def answer(request):
        if fleet_mode() == Mode.MAINTENANCE:  # a read of the mirror: no query, no lock
            return HttpResponse("in maintenance", status=503)
        return get_response(request)

    return answer
