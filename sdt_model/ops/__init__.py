"""Operations that the networks are built from, written for the processor at hand."""
