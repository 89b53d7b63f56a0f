# SPDX-License-Identifier: Apache-2.0
"""Identities keep what they are given, through JSON and back, and refuse what means nothing."""

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.errors import FormatError
from observer.model.identity import IdentityContext, TrustVector

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TRUST = st.one_of(
    st.sampled_from(["root", "enclave", "edge_gateway", "unverified", "compromised"]).map(TrustVector),
    TEXT.map(TrustVector.signed),
)
IDENTITIES = st.builds(
    IdentityContext,
    tenant_id=TEXT,
    user_id=TEXT,
    agent_id=st.none() | TEXT,
    device_fingerprint=st.none() | TEXT,
    geo_ip=st.none() | TEXT,
    trust_vector=TRUST,
    cryptographic_attestation=st.none() | TEXT,
    container_id=st.none() | st.uuids(),
    roles=st.lists(TEXT).map(tuple),
    attributes=st.dictionaries(TEXT, TEXT),
    public_key=st.none() | st.binary(),
)


@given(IDENTITIES)
def test_survives_json(identity: IdentityContext) -> None:
    assert IdentityContext.from_dict(json.loads(json.dumps(identity.to_dict()))) == identity


def test_well_known_identities() -> None:
    root, system = IdentityContext.root(), IdentityContext.system()
    assert (root.tenant_id, root.user_id, root.agent_id) == ("system", "root", "system")
    assert (system.tenant_id, system.user_id, system.agent_id) == ("system", "system", "system")
    assert root.trust_vector == system.trust_vector == TrustVector.ROOT
    assert str(root) == "system/root (agent system, trust root)"


def test_ids_are_new_for_each_construction() -> None:
    first, second = IdentityContext.new("acme", "ana"), IdentityContext.new("acme", "ana")
    assert first.request_id != second.request_id
    assert first.session_id != second.session_id
    assert first.trust_vector == TrustVector.UNVERIFIED


def test_builders_change_one_thing_and_keep_the_rest() -> None:
    container = uuid4()
    plain = IdentityContext.new("acme", "ana")
    full = (
        plain.with_agent("cli")
        .with_device("d1")
        .with_geo_ip("192.0.2.1")
        .with_trust(TrustVector.signed("sig"))
        .with_attestation("quote")
        .with_container(container)
        .with_roles(["admin"])
        .with_attributes({"team": "red"})
        .with_public_key(b"\x01")
    )
    assert plain.agent_id is None
    assert (full.request_id, full.session_id, full.tenant_id) == (plain.request_id, plain.session_id, "acme")
    assert (full.agent_id, full.device_fingerprint, full.geo_ip) == ("cli", "d1", "192.0.2.1")
    assert (full.trust_vector.signature, full.cryptographic_attestation) == ("sig", "quote")
    assert (full.container_id, full.roles, full.attributes) == (container, ("admin",), {"team": "red"})
    assert full.public_key == b"\x01"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"tenant_id": "a", "user_id": "b", "request_id": "no", "session_id": str(uuid4())},
        {"tenant_id": "a", "user_id": "b", "request_id": 5, "session_id": str(uuid4())},
        {
            "tenant_id": "a",
            "user_id": "b",
            "request_id": str(uuid4()),
            "session_id": str(uuid4()),
            "trust": "king",
        },
        {
            "tenant_id": "a",
            "user_id": "b",
            "request_id": str(uuid4()),
            "session_id": str(uuid4()),
            "public_key": "%",
        },
        {
            "tenant_id": "a",
            "user_id": "b",
            "request_id": str(uuid4()),
            "session_id": str(uuid4()),
            "roles": 7,
        },
    ],
)
def test_malformed_identity_is_a_format_error(values: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        IdentityContext.from_dict(values)


def test_base_scores_order_as_the_policies_expect() -> None:
    ranked = sorted(
        [
            TrustVector.COMPROMISED,
            TrustVector.ROOT,
            TrustVector.UNVERIFIED,
            TrustVector.ENCLAVE,
            TrustVector.EDGE_GATEWAY,
            TrustVector.signed("s"),
        ],
        key=lambda trust: trust.base_score,
    )
    assert [trust.kind for trust in ranked] == [
        "compromised",
        "unverified",
        "edge_gateway",
        "signed",
        "enclave",
        "root",
    ]
