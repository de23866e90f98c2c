"""Document -> Sequence: text, image patches and speech frames as positions; packing into batches."""
