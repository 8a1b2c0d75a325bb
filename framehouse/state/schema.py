"""Tables of the state database (SQLAlchemy Core). Times are seconds since the epoch, UTC."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(40), primary_key=True),
    sa.Column("client_token", sa.String(200), unique=True, nullable=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("infer_fps", sa.String(40), nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False, default=0),
    sa.Column("allow_private", sa.Boolean, nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("video_id", sa.String(40), nullable=True),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("stalled_attempts", sa.Integer, nullable=False, default=0),
    sa.Column("hop", sa.String(16), nullable=True),
    sa.Column("n_planned", sa.Integer, nullable=False, default=0),
    sa.Column("n_settled", sa.Integer, nullable=False, default=0),
    sa.Column("flow_run_id", sa.String(64), nullable=True),
    sa.Column("flow_run_at", sa.Float, nullable=True),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("outcome", sa.String(16), nullable=True),
    sa.Column("load_seq", sa.BigInteger, nullable=True),
    sa.Column("error_code", sa.String(80), nullable=True),
    sa.Column("error_message", sa.Text, nullable=True),
    sa.Column("error_hint", sa.Text, nullable=True),
    sa.Column("submitted_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float, nullable=True),
    sa.Column("finished_at", sa.Float, nullable=True),
    # since version 2
    sa.Column("owner", sa.String(40), nullable=False, server_default=""),
    sa.Column("wire", sa.JSON, nullable=True),
    sa.Column("upload_id", sa.String(40), nullable=True),
    # since version 3
    sa.Column("gaps", sa.String(8), nullable=False, server_default="every"),
    sa.Column("first_frame", sa.BigInteger, nullable=True),
    sa.Column("end_frame", sa.BigInteger, nullable=True),
    sa.Column("budget", sa.String(120), nullable=False, server_default=""),
    sa.Column("estimate", sa.JSON, nullable=True),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("owner", sa.String(120), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)

load_log = sa.Table(
    "load_log",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("video_id", sa.String(40), nullable=True),
    sa.Column("model_digest", sa.String(64), nullable=True),
    sa.Column("job_id", sa.String(40), nullable=True),
    sa.Column("requested_at", sa.Float, nullable=False),
)

budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("max_frames", sa.BigInteger, nullable=True),
    sa.Column("max_seconds", sa.Float, nullable=True),
    sa.Column("max_bytes", sa.BigInteger, nullable=True),
    sa.Column("spent_frames", sa.BigInteger, nullable=False, default=0),
    sa.Column("spent_seconds", sa.Float, nullable=False, default=0.0),
    sa.Column("spent_bytes", sa.BigInteger, nullable=False, default=0),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("job_id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("n_frames", sa.BigInteger, nullable=False),
    sa.Column("n_owed", sa.BigInteger, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

measures = sa.Table(
    "measures",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("labels", sa.String(400), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)

job_costs = sa.Table(
    "job_costs",
    metadata,
    sa.Column("job_id", sa.String(40), primary_key=True),
    sa.Column("model_digest", sa.String(64), primary_key=True),
    sa.Column("model_id", sa.String(200), nullable=False),
    sa.Column("n_frames", sa.BigInteger, nullable=False),
    sa.Column("infer_s", sa.Float, nullable=False),
    sa.Column("decode_s", sa.Float, nullable=False),
    sa.Column("cpu_s", sa.Float, nullable=False),
    sa.Column("gpu_s", sa.Float, nullable=False),
    sa.Column("fetch_bytes", sa.BigInteger, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("workspace", sa.String(60), nullable=False),
    sa.Column("max_waiting_jobs", sa.Integer, nullable=False),
    sa.Column("max_upload_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("last_used_at", sa.Float, nullable=True),
    sa.Column("revoked_at", sa.Float, nullable=True),
)

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("upload_id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("file_name", sa.String(255), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("completed_at", sa.Float, nullable=True),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("webhook_id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("secret", sa.String(80), nullable=False),
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(40), primary_key=True),
    sa.Column("event_id", sa.String(120), nullable=False),
    sa.Column("webhook_id", sa.String(40), nullable=False),
    sa.Column("job_id", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Float, nullable=False),
    sa.Column("answer", sa.Integer, nullable=True),
    sa.Column("error", sa.Text, nullable=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("delivered_at", sa.Float, nullable=True),
    sa.UniqueConstraint("event_id", "webhook_id"),
)

SCHEMA_VERSION = 5
"""1: jobs, leases, load log. 2: who asked for a job and how; keys, uploads, webhooks and their deliveries.
3: shares; catalogues and their entries (`catalog_tables`); what of a video a job is about, its estimate; budgets.
4: how many jobs of a catalogue run at once. 5: measures, and what each model of a job has cost."""
