"""Events to send."""
import itertools
import json
from datetime import datetime, timedelta, timezone

_ids = itertools.count(1)


def text_time(seconds=0, base=None):
    """Now, or `base`, and so many seconds, as RFC 3339 with microseconds."""
    instant = (base or datetime.now(timezone.utc)) + timedelta(seconds=seconds)
    return instant.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def event(time="2020-01-01T00:00:00Z", type="test.thing", source="/test", id=None, **members):
    """A CloudEvent; time=None leaves the time out. An id is made when none is given."""
    made = {"specversion": "1.0", "id": id if id is not None else f"e{next(_ids)}",
            "source": source, "type": type}
    if time is not None:
        made["time"] = time
    made.update(members)
    return made


def ndjson(events):
    return "".join((e if isinstance(e, str) else json.dumps(e, ensure_ascii=False)) + "\n"
                   for e in events).encode()
