# The hub alone, against a database of your own: docker-compose.yml shows both together.
FROM python:3.11-slim-bookworm AS build
WORKDIR /srv/hub
# The lock first: what it names changes less often than the code, and is then taken from the cache.
COPY requirements/hub.txt requirements/hub.txt
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/hub.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY geo geo
COPY schema schema
COPY hub hub
RUN .venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation -e . \
 && .venv/bin/python -m hub.assets \
 && .venv/bin/python -m compileall -q geo schema hub

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/hub --no-create-home hub
COPY --from=build /srv/hub /srv/hub
WORKDIR /srv/hub
USER hub
# Only the container's own network reaches it; which of the machine's addresses do, says the published port.
ENV PATH=/srv/hub/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HUB_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["hub", "up"]
