"""Language families: from counted n-grams to transformers, each in one file beside its paper."""
