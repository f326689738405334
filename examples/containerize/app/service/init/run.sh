#!/bin/sh
# Starts gunicorn on port 8000, https only, as the user the container runs as.
#
# GUNICORN_ARGUMENTS are added to its command line. A secret /run/secrets/NAME is preferred to the environment
# variable NAME.
set -eu
export PYTHONUNBUFFERED=1
export PYTHONDONTWRITEBYTECODE=1

for name in GUNICORN_ARGUMENTS FLASK_ENV TESTING DEBUG; do
	if [ -r "/run/secrets/$name" ]; then
		export "$name=$(cat "/run/secrets/$name")"
	fi
done

# A key of its own for each start: nothing secret is in the image, and only nginx, which is told not to check, and
# a developer who has mapped the port see the certificate.
keys=$(mktemp -d)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=app \
	-addext subjectAltName=DNS:app,DNS:localhost -keyout "$keys/app.key" -out "$keys/app.crt" 2>/dev/null

# The single-stage image has its packages beside Debian's own.
python=/venv/bin/python
[ -x $python ] || python=python

cd /service/src
# shellcheck disable=SC2086 # the arguments are words
exec "$python" -m gunicorn --bind 0.0.0.0:8000 --certfile "$keys/app.crt" --keyfile "$keys/app.key" \
	--worker-tmp-dir /dev/shm --access-logfile - ${GUNICORN_ARGUMENTS:-} app:app
