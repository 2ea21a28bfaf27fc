#!/usr/bin/env python3
"""A drain ends when the engine has nothing left, not when the drain's time-out does.

The host asks engines for their running count every few seconds. A count taken while an answer ran
must not hold the drain once that answer has ended.
"""
import json
import threading

import shunt

DRAIN_S = 120.0
ROUND_TOKENS = 70  # of 0.1 s: longer than a round of the host's questions


def test_an_old_count_holds_no_drain():
    slow = shunt.model("slow", emulate={"token_ms": 100.0})
    other = shunt.model("other")
    guard = {"drain_s": DRAIN_S, "switch_timeout_s": 20.0}
    with shunt.Host([slow, other], guard=guard) as host:
        host.chat("slow", max_tokens=1)
        connection = host.connection()
        connection.request("POST", "/v1/chat/completions", json.dumps(
            {"model": "slow", "stream": True, "max_tokens": ROUND_TOKENS + 10,
             "messages": [{"role": "user", "content": "hello"}]}),
            {"content-type": "application/json"})
        answer = connection.getresponse()
        tokens, second = 0, []
        for line in answer:
            tokens += line.startswith(b"data: {")
            if tokens == ROUND_TOKENS and not second:
                # By now the host has asked while the answer ran; this begins the drain.
                thread = threading.Thread(target=lambda: second.append(host.chat("other")))
                thread.start()
                second.append(thread)
        second[0].join()
        assert tokens > ROUND_TOKENS and second[1].status == 200, (tokens, second)
        explained = host.ctl("explain", second[1].headers["x-shunt-request"])
        waited = float(second[1].headers["x-shunt-queue-ms"]) / 1e3
        assert waited < DRAIN_S / 2, explained


shunt.main(test_an_old_count_holds_no_drain)
