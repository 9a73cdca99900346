"""Settings of gunicorn: the master holds the value open while workers come and go."""


def on_starting(server):
    import worker_status  # noqa: F401 # to import it is to open the value
