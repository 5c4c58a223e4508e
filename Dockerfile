# The serving image: Debian's own Python, the app, onnxruntime and the models. No torch, no pip, no compiler.
# A release names its base by digest: --build-arg BASE=debian:bookworm-slim@sha256:…
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS builder
# Debian's packages have no versions here: the base's digest and Debian's security updates say which.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-pip
WORKDIR /build
COPY deploy/build.lock deploy/requirements.lock ./
# Every file that pip takes from an index has its hash in a lock (deploy/lock writes them), the wheel's builder too.
# --prefix makes Debian's pip write below local/, where Debian's Python looks once this is copied to /usr/local.
RUN python3 -m pip install --no-cache-dir --no-compile --require-hashes --prefix /install --requirement requirements.lock \
 && python3 -m pip install --no-cache-dir --require-hashes --target /backend --requirement build.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
RUN PYTHONPATH=/backend python3 -m pip install --no-cache-dir --no-compile --no-index --no-deps --no-build-isolation \
    --prefix /install .
WORKDIR /install/local
# Deleted: every command but nelbo; tests, sources and headers; onnxruntime's tools for making models, and its library for
# programs in C, which its Python module has a copy of inside. Bytecode is made here, where the file system can be written.
RUN find bin -type f ! -name nelbo -delete \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . -type f -regex '.*\.\(pyx\|pxd\|pxi\|pyi\|c\|h\|a\)' -delete \
 && rm -rf lib/python3*/dist-packages/onnxruntime/transformers \
    lib/python3*/dist-packages/onnxruntime/quantization \
    lib/python3*/dist-packages/onnxruntime/tools \
    lib/python3*/dist-packages/onnxruntime/capi/libonnxruntime.so.* \
 && python3 -m compileall -q --invalidation-mode unchecked-hash lib

FROM ${BASE}
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="nelbo" \
      org.opencontainers.image.description="Scores sensor vectors by how surprising they are" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*
COPY --from=builder /install/local /usr/local
COPY models /srv/models
ENV NELBO_HOST=0.0.0.0 \
    NELBO_LOG=json \
    NELBO_MODELS=/srv/models \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /srv
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python3", "-c", "\
import os, ssl, sys, urllib.request; \
scheme = 'https' if os.environ.get('NELBO_TLS_CERTIFICATE') else 'http'; \
ready = scheme + '://127.0.0.1:' + os.environ.get('NELBO_PORT', '8000') + '/health/ready'; \
sys.exit(urllib.request.urlopen(ready, timeout=4, context=ssl._create_unverified_context()).status != 200)"]
ENTRYPOINT ["nelbo"]
CMD ["serve"]
