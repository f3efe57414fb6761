# syntax=docker/dockerfile:1
# The search service, with the default model. Further models need torch:
#   docker compose build --build-arg EXTRAS=[dense] --build-arg PIP_EXTRA_INDEX_URL=...
# adds torch, transformers and FAISS; name PyTorch's CPU wheel index to leave CUDA out.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
WORKDIR /src
COPY pyproject.toml constraints.txt CMakeLists.txt README.md LICENSE ./
COPY lsr lsr
COPY index index
COPY service service
COPY eval eval
ARG EXTRAS=""
ARG PIP_EXTRA_INDEX_URL=""
RUN python -m venv /opt/lsr
RUN /opt/lsr/bin/pip install --no-cache-dir --constraint constraints.txt ".${EXTRAS}"

FROM python:3.11-slim
COPY --from=build /opt/lsr /opt/lsr
RUN useradd --uid 10001 --create-home lsr && install --directory --owner lsr --group lsr /data
ENV PATH=/opt/lsr/bin:$PATH LSR_CACHE=/data/.cache HF_HOME=/data/.huggingface
USER lsr
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# It starts once there is a key: of `lsr key create /data`, or LSR_SERVE_ADMIN_KEY.
CMD ["lsr", "serve", "/data", "--host", "0.0.0.0", "--port", "8000"]
