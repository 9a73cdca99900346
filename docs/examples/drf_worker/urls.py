"""The addresses of the service."""

from django.urls import path

from jobs import events, views

urlpatterns = [
    path("", views.page),
    path("status", views.status),
    path("jobs", views.jobs),
    path("jobs/<int:job_id>", views.job),
    path("drain", views.drain),
    path("events", events.events),
    path("metrics", views.metrics),
    path("healthz", views.healthz),
]
