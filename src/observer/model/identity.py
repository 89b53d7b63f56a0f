# SPDX-License-Identifier: Apache-2.0
"""Who acted: one identity type for traces, policy decisions, telemetry and audit.

The ids of a request and a session are new for each construction; everything else is what the caller knows.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import UUID

from observer.errors import FormatError
from observer.ids import new_id

__all__ = ["IdentityContext", "TrustVector"]


@dataclass(frozen=True, slots=True)
class TrustVector:
    """How far an identity is believed, and on what ground.

    Attributes:
        kind: One of `root`, `signed`, `enclave`, `edge_gateway`, `unverified`, `compromised`.
        signature: The signature text of a `signed` identity, else None.
    """

    kind: str = "unverified"
    signature: str | None = None

    ROOT: ClassVar[TrustVector]
    ENCLAVE: ClassVar[TrustVector]
    EDGE_GATEWAY: ClassVar[TrustVector]
    UNVERIFIED: ClassVar[TrustVector]
    COMPROMISED: ClassVar[TrustVector]

    def __post_init__(self) -> None:
        if self.kind not in _BASE_SCORES:
            raise FormatError(f"unknown trust vector {self.kind!r}", hint=f"one of {', '.join(_BASE_SCORES)}")
        if (self.kind == "signed") != (self.signature is not None):
            raise FormatError("a trust vector carries a signature exactly when it is 'signed'")

    @classmethod
    def signed(cls, signature: str) -> TrustVector:
        """Return the trust of an identity that a signature vouches for."""
        return cls("signed", signature)

    @property
    def base_score(self) -> float:
        """The trust a policy starts from, in [0, 1]: root 1 … unverified .3, compromised 0."""
        return _BASE_SCORES[self.kind]

    def __str__(self) -> str:
        return self.kind


_BASE_SCORES = {
    "root": 1.0,
    "signed": 0.8,
    "enclave": 0.9,
    "edge_gateway": 0.7,
    "unverified": 0.3,
    "compromised": 0.0,
}
TrustVector.ROOT = TrustVector("root")
TrustVector.ENCLAVE = TrustVector("enclave")
TrustVector.EDGE_GATEWAY = TrustVector("edge_gateway")
TrustVector.UNVERIFIED = TrustVector("unverified")
TrustVector.COMPROMISED = TrustVector("compromised")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityContext:
    """On whose behalf something happened.

    Attributes:
        request_id: This request; new for each construction.
        session_id: The session it belongs to; new for each construction.
        tenant_id: Organisation or, for programs recorded on a machine, its host name.
        user_id: User name within the tenant.
        agent_id: What acted for the user: a language model, a runtime, `cli`, `api`.
        device_fingerprint: Device the request came from.
        geo_ip: Network origin, as text.
        trust_vector: How far the identity is believed.
        cryptographic_attestation: Attestation document, as text.
        container_id: Container the identity lives in.
        roles: Role names, in the order given.
        attributes: Further facts; names and values are text.
        public_key: Key that proves the identity, raw bytes.
    """

    tenant_id: str
    user_id: str
    request_id: UUID = field(default_factory=new_id)
    session_id: UUID = field(default_factory=new_id)
    agent_id: str | None = None
    device_fingerprint: str | None = None
    geo_ip: str | None = None
    trust_vector: TrustVector = TrustVector()
    cryptographic_attestation: str | None = None
    container_id: UUID | None = None
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    public_key: bytes | None = None

    @classmethod
    def new(cls, tenant_id: str, user_id: str) -> IdentityContext:
        """Return an unverified identity with new request and session ids."""
        return cls(tenant_id=tenant_id, user_id=user_id)

    @classmethod
    def root(cls) -> IdentityContext:
        """Return the identity system/root, agent `system`, trust root."""
        return cls(tenant_id="system", user_id="root", agent_id="system", trust_vector=TrustVector.ROOT)

    @classmethod
    def system(cls) -> IdentityContext:
        """Return the identity system/system, agent `system`, trust root."""
        return cls(tenant_id="system", user_id="system", agent_id="system", trust_vector=TrustVector.ROOT)

    def with_agent(self, agent_id: str) -> IdentityContext:
        """Return a copy that acts through this agent."""
        return replace(self, agent_id=agent_id)

    def with_device(self, device_fingerprint: str) -> IdentityContext:
        """Return a copy that came from this device."""
        return replace(self, device_fingerprint=device_fingerprint)

    def with_geo_ip(self, geo_ip: str) -> IdentityContext:
        """Return a copy that came from this network origin."""
        return replace(self, geo_ip=geo_ip)

    def with_trust(self, trust_vector: TrustVector) -> IdentityContext:
        """Return a copy that is believed this far."""
        return replace(self, trust_vector=trust_vector)

    def with_attestation(self, attestation: str) -> IdentityContext:
        """Return a copy with this attestation document."""
        return replace(self, cryptographic_attestation=attestation)

    def with_container(self, container_id: UUID) -> IdentityContext:
        """Return a copy that lives in this container."""
        return replace(self, container_id=container_id)

    def with_roles(self, roles: Sequence[str]) -> IdentityContext:
        """Return a copy with these roles instead of its own."""
        return replace(self, roles=tuple(roles))

    def with_attributes(self, attributes: Mapping[str, str]) -> IdentityContext:
        """Return a copy with these attributes added; equal names are replaced."""
        return replace(self, attributes={**self.attributes, **attributes})

    def with_public_key(self, public_key: bytes) -> IdentityContext:
        """Return a copy that this key proves."""
        return replace(self, public_key=bytes(public_key))

    def is_called(self, name: IdentityContext | str) -> bool:
        """Whether this is that identity: same tenant and user, or, for text, the user, tenant, agent or `tenant/user`."""
        if isinstance(name, IdentityContext):
            return (self.tenant_id, self.user_id) == (name.tenant_id, name.user_id)
        return name in (self.user_id, self.tenant_id, self.agent_id, f"{self.tenant_id}/{self.user_id}")

    def __str__(self) -> str:
        agent = f"agent {self.agent_id}, " if self.agent_id else ""
        return f"{self.tenant_id}/{self.user_id} ({agent}trust {self.trust_vector})"

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as JSON values; what is unset is left out."""
        values: dict[str, Any] = {
            "request_id": str(self.request_id),
            "session_id": str(self.session_id),
            "tenant_id": self.tenant_id,
            "user_id": self.user_id,
            "agent_id": self.agent_id,
            "device_fingerprint": self.device_fingerprint,
            "geo_ip": self.geo_ip,
            "trust": self.trust_vector.kind,
            "trust_signature": self.trust_vector.signature,
            "cryptographic_attestation": self.cryptographic_attestation,
            "container_id": str(self.container_id) if self.container_id else None,
            "roles": list(self.roles) or None,
            "attributes": dict(self.attributes) or None,
            "public_key": base64.b64encode(self.public_key).decode() if self.public_key is not None else None,
        }
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IdentityContext:
        """Return the identity that `to_dict` wrote.

        Raises:
            FormatError: A required field is missing or a value is not of its type.
        """
        try:
            container, key = values.get("container_id"), values.get("public_key")
            return cls(
                tenant_id=str(values["tenant_id"]),
                user_id=str(values["user_id"]),
                request_id=UUID(values["request_id"]),
                session_id=UUID(values["session_id"]),
                agent_id=values.get("agent_id"),
                device_fingerprint=values.get("device_fingerprint"),
                geo_ip=values.get("geo_ip"),
                trust_vector=TrustVector(values.get("trust", "unverified"), values.get("trust_signature")),
                cryptographic_attestation=values.get("cryptographic_attestation"),
                container_id=UUID(container) if container else None,
                roles=tuple(values.get("roles") or ()),
                attributes=dict(values.get("attributes") or {}),
                public_key=base64.b64decode(key, validate=True) if key is not None else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as cause:
            raise FormatError(f"malformed identity: {cause!r}") from cause
