"""The search: schedules of beta, the bilevel step, histories and the runner."""
