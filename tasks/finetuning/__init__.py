"""Fine-tune: texts of annotated conversations to a text encoder."""
