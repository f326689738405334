"""Says a wise word, and what the proxy in front told about the client."""
import os

from flask import Flask, Response, request

QUOTE = "It's easier to ask forgiveness than it is to get permission."

app = Flask(__name__)
app.config["TESTING"] = os.environ.get("TESTING", "").lower() in ("1", "true", "yes")
app.config["DEBUG"] = os.environ.get("DEBUG", "").lower() in ("1", "true", "yes")


@app.get("/")
def show_headers():
    lines = [QUOTE]
    for name in ("X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto"):
        lines.append(f"{name}: {request.headers.get(name)}")
    return Response("\n".join(lines) + "\n", mimetype="text/plain")
