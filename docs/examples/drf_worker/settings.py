"""The settings that Django needs. DATABASE_URL names another database, WORKER_STATE the directory of the state."""

import dj_database_url

from jobs.state import state

ROOT_URLCONF = "urls"
USE_TZ = True
TIME_ZONE = "UTC"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
INSTALLED_APPS = ["rest_framework", "jobs"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}

DATABASES = {
    "default": dj_database_url.config(
        default=f"sqlite:///{state.directory / 'jobs.sqlite3'}"
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",  # readers and the writer do not wait
        "timeout": 20,  # seconds that a writer waits for another one
        "transaction_mode": "IMMEDIATE",  # it waits at the beginning; later it could only fail
    }

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s [%(name)s %(process)d] %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"calculation": {"handlers": ["stderr"], "level": "INFO"}},
}
