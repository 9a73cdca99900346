"""Four web processes with four threads each, and the calculation beside them. Start it with: gunicorn."""

bind = "127.0.0.1:8000"
wsgi_app = "api:application"
raw_env = ["DJANGO_SETTINGS_MODULE=settings"]
workers = 4
threads = 4
control_socket_disable = True  # its thread would be alive whenever a worker is forked


def on_starting(server):
    """Make the shared state in the master, before it forks: what each worker made for itself would be its own.

    A hook rather than `preload_app`: a reload (SIGHUP) then gives the workers new code and leaves the state as it is.
    """
    import calculation
    import worker_state

    server.state = worker_state.shared = worker_state.WorkerState()
    server.calculation = calculation.start(server.state)


def on_exit(server):
    """SIGTERM and Ctrl-C come here once the requests in flight are answered: let the running job end as well."""
    import calculation

    calculation.stop(server.state, server.calculation)
