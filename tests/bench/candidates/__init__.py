"""Who is compared: nobody (direct), nginx, the gateway, and other gateways."""

from __future__ import annotations

from tests.bench.candidates import ccr, direct, litellm, lm_proxy, nginx, orgate, portkey
from tests.bench.candidates.base import Candidate

OURS: tuple[Candidate, ...] = (direct.Direct(), orgate.Orgate())
PEERS: tuple[Candidate, ...] = (nginx.Nginx(), portkey.Portkey(), ccr.Ccr(), lm_proxy.LmProxy(), litellm.LiteLlm())
