"""The search: schedules of beta, the bilevel step, callbacks and the runner."""
