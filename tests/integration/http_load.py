#!/usr/bin/env python3
"""http_load.py PORT STOP - asks one page again and again, a connection each, until the file STOP is there; STOP.begun is there
after the first answer.

Prints what was answered, each text once in the order of the first answer, and then how many requests failed.
"""
import http.client, os, sys

port, stop = int(sys.argv[1]), sys.argv[2]
seen, failed, last = [], [], False
while not last:
    last = os.path.exists(stop)  # once more after that, so that what is there in the end is seen
    try:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        c.request("GET", "/index.html")
        text = c.getresponse().read().decode().strip()
        c.close()
        if text not in seen:
            seen.append(text)
            open(stop + ".begun", "w").close()
    except (OSError, http.client.HTTPException) as reason:
        failed.append(repr(reason))
print(" ".join(seen))
print(f"{len(failed)} failed: {failed[:3]}" if failed else "none failed")
