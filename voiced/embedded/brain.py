"""What to answer: rules for what is certain, a language model where there is one, an honest word for the rest."""

import logging
from collections.abc import Callable
from datetime import datetime

from voiced.embedded import rules
from voiced.embedded.parts import Model, ModelFailed, Say, Wanted
from voiced.embedded.work import Think

logger = logging.getLogger(__name__)


class Brain:
    """Answers one turn. `model` is None where only the rules are there."""

    def __init__(self, model: Model | None, clock: Callable[[], datetime] = datetime.now) -> None:
        self._model = model
        self._clock = clock
        self.name = model.name if model else "rules"

    def answer(self, think: Think, wanted: Wanted, say: Say) -> None:
        """Says the answer piece by piece; stops early when nobody wants more."""
        now = self._clock()
        verbatim = rules.verbatim(think.instructions)
        certain = rules.call(think.said, think.tools) or rules.answer(think.said, now)
        heard = bool(think.said and think.said[-1].text)
        if verbatim is not None:
            say(verbatim)
        elif certain is not None and not (self._model and self._model.knows_better and heard):
            say(certain)
        elif self._model is None:
            say(rules.honest(think.said))
        else:
            try:
                self._model.answer(think, now, wanted, say)
            except ModelFailed as failure:
                logger.warning("%s", failure)
                say(certain or f"{failure.spoken} {rules.WHAT_I_CAN}")
