"""
More than one process for one gateway (ORGATE_WORKERS): both cores are used, and every figure stays exact.

The first process is the keeper: it has the ledger, the quotas, the places, the memory of calls and all that runs in the
background, and answers requests too. The others are carriers: they accept connections at the same sockets and carry
calls; for what all have in common they ask the keeper over a line, and every other request they pass on to it whole.
"""
