"""Forecasts: what larger or longer runs will give, from smaller ones or from their beginning, with intervals."""
