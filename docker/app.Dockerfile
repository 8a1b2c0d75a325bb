# syntax=docker/dockerfile:1.7
# The application: API, loader, runner, Prefect server and worker, Dask scheduler and workers run in this one image.
# Built from the repository's root: docker build -f docker/app.Dockerfile -t framehouse-app .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG EXTRAS="azure models otel postgres search"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv --without-pip /opt/venv
# Dependencies first: this layer stays while only code changes.
COPY pyproject.toml ./
COPY requirements/constraints.txt requirements/
COPY docker/list_dependencies.py docker/
RUN --mount=type=cache,target=/var/cache/pip \
    python docker/list_dependencies.py ${EXTRAS} > /tmp/dependencies.txt \
    && python -m pip --python /opt/venv/bin/python install --cache-dir /var/cache/pip --no-compile \
        -c requirements/constraints.txt -r /tmp/dependencies.txt
COPY README.md LICENSE NOTICE prefect.yaml ./
COPY framehouse framehouse
COPY flows flows
COPY tasks tasks
COPY triton_models triton_models
# Editable: flows, tasks and models lie beside the package, and every process imports the same files.
RUN --mount=type=cache,target=/var/cache/pip \
    python -m pip --python /opt/venv/bin/python install --cache-dir /var/cache/pip --no-compile --no-deps -e . \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/venv/lib framehouse flows tasks \
    && rm -r docker

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="framehouse" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 framehouse \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin framehouse \
    && install -d -o 10001 -g 10001 /data /data/models
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# What is written lies in /data and /tmp; everything else may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    FRAMEHOUSE_HOME=/data \
    FRAMEHOUSE_READY_DIR=/tmp/ready \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui \
    DO_NOT_TRACK=1
WORKDIR /app
USER 10001:10001
EXPOSE 8800
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "framehouse.readiness", "http://127.0.0.1:8800/health"]
CMD ["python", "-m", "framehouse.api.server", "8800"]
