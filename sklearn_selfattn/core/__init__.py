"""The ground floor: tables, tokens, attention, training and the estimator face."""
