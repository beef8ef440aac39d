"""An agent that reports its state, derived from coherence, confidence, failing tools and repeated actions.

Run it next to a sidecar (``make run``): it plays a few made-up turns and claims a state after each.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from dataclasses import dataclass, field

from sidecar.client import Agent


@dataclass
class Wellbeing:
    """Derives an agent's state from its last turns.

    Attributes:
        window: how many of the last turns count.
    """

    window: int = 6
    _coherence: deque[float] = field(default_factory=deque)
    _confidence: deque[float] = field(default_factory=deque)
    _failures: int = 0
    _actions: deque[str] = field(default_factory=deque)

    def turn(self, *, coherence: float, confidence: float, action: str, failed: bool) -> tuple[str, str]:
        """Add a turn; returns the state and the reason.

        Args:
            coherence: of the answer with the conversation, 0 to 1.
            confidence: of the model in its answer, 0 to 1.
            action: the tool call, with its arguments.
            failed: whether the tool call failed.
        """
        for values, value in ((self._coherence, coherence), (self._confidence, confidence)):
            values.append(value)
            if len(values) > self.window:
                values.popleft()
        self._actions.append(action)
        if len(self._actions) > self.window:
            self._actions.popleft()
        self._failures = self._failures + 1 if failed else 0
        return self._judge()

    def _judge(self) -> tuple[str, str]:
        coherence = sum(self._coherence) / len(self._coherence)
        confidence = sum(self._confidence) / len(self._confidence)
        action, repeats = Counter(self._actions).most_common(1)[0]
        if coherence < 0.3:
            return "distressed", f"coherence fell to {coherence:.2f}"
        if repeats >= 5:
            return "distressed", f"{action} was repeated {repeats} times without progress"
        if self._failures >= 3:
            return "concerned", f"{self._failures} tool calls failed in a row"
        if coherence < 0.6 or confidence < 0.4:
            return "cautious", f"coherence {coherence:.2f}, confidence {confidence:.2f}"
        return "healthy", ""


def main(url: str, scope: str) -> None:
    """Play a few turns and report the state after each."""
    turns = [
        (0.9, 0.8, "search('weather')", False),
        (0.8, 0.7, "fetch('a')", True),
        (0.7, 0.6, "fetch('a')", True),
        (0.6, 0.5, "fetch('a')", True),
        (0.5, 0.4, "fetch('a')", True),
        (0.5, 0.4, "fetch('a')", True),
    ]
    wellbeing = Wellbeing()
    with Agent("example", url, scope=scope, ttl_secs=30) as agent:
        for coherence, confidence, action, failed in turns:
            state, reason = wellbeing.turn(
                coherence=coherence, confidence=confidence, action=action, failed=failed
            )
            agent.report(state, reason)
            agent.flush()
            print(state, reason)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["http://127.0.0.1:9477", "team-a/llama/agent-7"]))
