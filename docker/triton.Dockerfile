# syntax=docker/dockerfile:1.7
# Triton with the native onnxruntime backend, and what our models' Python needs. 24.10 is Triton 2.51, the release that
# the packaged server of `framehouse up` is made of: onnxruntime 1.19.2, Python 3.10, CUDA 12.6.
# Built from the repository's root: docker build -f docker/triton.Dockerfile -t framehouse-triton .
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:24.10-py3
FROM ${TRITON_IMAGE}
LABEL org.opencontainers.image.title="framehouse-triton"
COPY docker/requirements-triton.txt docker/triton_health.py /opt/framehouse/
# numpy stays below 2: with numpy 2 this python backend hands over wrong numbers without an error.
RUN python3 -m pip install --no-cache-dir --no-deps -r /opt/framehouse/requirements-triton.txt \
    && python3 -c "import cv2, numpy; assert numpy.__version__.startswith('1.'), numpy.__version__" \
    && install -d -o 1000 -g 1000 /added /engines
# The repository as it is; compose mounts the checkout's over it.
COPY triton_models /models
USER 1000:1000
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python3", "/opt/framehouse/triton_health.py"]
CMD ["tritonserver", "--model-repository=/models", "--model-repository=/added", \
     "--model-control-mode=explicit", "--load-model=selftest", "--load-model=detector_network", \
     "--load-model=detector_nms", "--load-model=detector", "--model-config-name=cpu", \
     "--disable-auto-complete-config", "--exit-timeout-secs=30", "--http-port=8000", "--grpc-port=8001", \
     "--metrics-port=8002", "--backend-config=python,shm-default-byte-size=4194304"]
