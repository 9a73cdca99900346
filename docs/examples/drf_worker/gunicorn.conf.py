"""Four web processes with four threads each, and a separate calculation process. Start all of them with: gunicorn."""

bind = "127.0.0.1:8000"
wsgi_app = "api:application"
raw_env = ["DJANGO_SETTINGS_MODULE=settings"]
workers = 4
threads = 4
control_socket_disable = True  # its thread would run while gunicorn forks a worker


def on_starting(server):
    """Make the shared state in the master, before it forks. Otherwise each worker would make a state of its own.

    This is a hook and not `preload_app`, so that a reload (SIGHUP) gives the workers new code and keeps the state.
    """
    import calculation
    import worker_state

    server.state = worker_state.shared = worker_state.WorkerState()
    server.calculation = calculation.start(server.state)


def on_exit(server):
    """Wait for the running job. gunicorn calls this after SIGTERM or Ctrl-C, once it has answered all open requests."""
    import calculation

    calculation.stop(server.state, server.calculation)
