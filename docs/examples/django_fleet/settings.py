"""The settings of the example.

The environment says where PostgreSQL is, and where the mirror.
"""

import os

SECRET_KEY = "of an example"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["fleet"]
MIDDLEWARE = ["fleet.middleware.maintenance"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("DATABASE_HOST", "db.example"),
        "PORT": os.environ.get("DATABASE_PORT", ""),
        "NAME": "app",
        "USER": "app",
        "PASSWORD": "secret",
        "CONN_MAX_AGE": 60,
        "OPTIONS": {"connect_timeout": 5, "sslmode": "prefer"},
    }
}

FLEET_MIRROR = os.environ.get("FLEET_MIRROR", "/run/app/mode")
