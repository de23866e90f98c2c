"""Actions: what the model writes that changes what it perceives next. One mechanism for canvas, tools and agents."""
