"""Whether a server answers, found out in seconds, before a download that would try for minutes."""

import http.client
import ssl
import threading
import urllib.error
import urllib.request

PROBE_SECONDS = 8


def unreachable(url: str) -> str | None:
    """Why no answer comes from `url`, directly or through the configured proxy; None if one does.

    The thread bounds what a time-out does not: a name server that never answers.
    """
    outcome: list[str | None] = []
    probe = threading.Thread(target=lambda: outcome.append(connection_error(url)), daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    return outcome[0] if outcome else f"no answer from {url} in {PROBE_SECONDS} s"


def connection_error(url: str) -> str | None:
    """Ask for the head of `url`; any answer of the server counts, even an error or a certificate
    Python does not trust, since TFDS may know better ones."""
    opener = urllib.request.build_opener()  # urlopen keeps the proxies of its first call
    try:
        with opener.open(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS / 2):
            return None
    except urllib.error.HTTPError:
        return None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            return None
        return f"{url}: {error}"
