import msgspec
import pytest

from gongfu.identify.trust.jws import JwsError, parse, sign
from gongfu.identify.trust.keys import Algorithm, KeyFormError, SigningKey, VerifyingKey, encode_base64url, parse_key


@pytest.fixture(scope="module", params=list(Algorithm))
def key(request: pytest.FixtureRequest) -> SigningKey:
    return SigningKey.generate(request.param)


def test_a_signature_is_of_its_data_and_by_its_key_only(key: SigningKey) -> None:
    signature = key.sign(b"one")
    assert key.public.verifies(b"one", signature)
    assert not key.public.verifies(b"two", signature)
    assert not key.public.verifies(b"one", signature[:-1])
    assert not key.public.verifies(b"one", bytes(len(signature)))
    assert not SigningKey.generate(key.algorithm).public.verifies(b"one", signature)


def test_the_text_form_gives_the_same_key(key: SigningKey) -> None:
    again = SigningKey.from_text(key.to_text() + "\n")
    assert again.public == key.public
    assert key.public.verifies(b"x", again.sign(b"x"))
    assert key.to_text() not in repr(key)


def test_a_jwk_gives_the_same_key(key: SigningKey) -> None:
    document = {**msgspec.to_builtins(key.public), "kid": "1", "use": "sig"}
    assert parse_key(document) == key.public


def test_ed25519_as_rfc_8037_a_4_has_it() -> None:
    key = parse_key({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    jws = parse(
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6d"
        "WbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    assert jws.payload == b"Example of Ed25519 signing"
    assert jws.verifies(key)


def test_sm2_as_gbt_32918_5_has_it() -> None:
    point = [
        "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020",
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13",
    ]
    x, y = (encode_base64url(bytes.fromhex(part)) for part in point)
    key = parse_key({"kty": "EC", "crv": "SM2", "x": x, "y": y})
    signature = bytes.fromhex(
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
        "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
    )
    assert key.verifies(b"message digest", signature)


def test_keys_that_are_none_or_weak_are_refused() -> None:
    ed25519 = SigningKey.generate(Algorithm.EDDSA)
    sm2 = msgspec.to_builtins(SigningKey.generate(Algorithm.SM2).public)
    for document in (
        {},
        {"kty": "oct", "k": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": encode_base64url((3 << 1022).to_bytes(128)), "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "not base64!"},
        {**sm2, "y": sm2["x"]},
        {**sm2, "x": "AA"},
    ):
        with pytest.raises(KeyFormError):
            parse_key(document)
    for text in ("", "RS256", "RS256 AAAA", ed25519.to_text().replace("EdDSA", "RS256"), "SM2 AAAA", "none "):
        with pytest.raises(KeyFormError):
            SigningKey.from_text(text)


def test_a_jws_names_its_algorithm_and_nothing_else_is_taken() -> None:
    key = SigningKey.generate(Algorithm.EDDSA)
    text = sign(b"payload", key)
    assert parse(text).verifies(key.public)
    header, payload, signature = text.split(".")
    none = encode_base64url(b'{"alg":"none"}')
    assert not parse(f"{none}.{payload}.").verifies(key.public)
    assert not parse(f"{none}.{payload}.{signature}").verifies(key.public)
    json_form = msgspec.json.encode({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})
    assert parse(json_form).verifies(key.public)
    critical = encode_base64url(b'{"alg":"EdDSA","crit":["b64"],"b64":false}')
    for wrong in ("", "a.b", f"{header}.{payload}", f"{critical}.{payload}.{signature}", f"!.{payload}.{signature}",
                  '{"payload":"","signatures":[]}', b"\xff\xfe", "x" * 300_000):  # fmt: skip
        with pytest.raises(JwsError):
            parse(wrong)


def test_equal_keys_are_equal_whatever_else_their_jwk_says() -> None:
    key = SigningKey.generate(Algorithm.EDDSA).public
    assert parse_key({"kty": "OKP", "crv": "Ed25519", "x": key.x, "y": "", "n": "AA"}) == key
    assert isinstance(key, VerifyingKey)
