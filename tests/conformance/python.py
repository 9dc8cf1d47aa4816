"""Tencent Cloud's Python SDK against the emulator: every action, errors, retries, credential sources.

Run by `cargo xtask test conformance` with the emulator's environment variables, its control URL in EMULATOR_CONTROL, and the
paths of our programs in ENVELOPE and EVERY_CALL. The last line is `N passed, N failed, N requests compared`.
"""

import base64
import json
import os
import sys
import time
import traceback

from python_rsa import RsaKey, url_safe
from python_sdk import *
from tencentcloud.common.retry import StandardRetryer

METADATA = os.environ["ENVELOPE_TENCENT_METADATA_ENDPOINT"] + "/latest/meta-data/"
ISSUER = "https://issuer.example"
SUBJECT = "system:serviceaccount:envelope:controller"


@case
def generate_data_key_and_decrypt():
    sealed = generate()
    equal(sealed.KeyId, KEY)
    equal(len(base64.b64decode(sealed.Plaintext)), 32)
    opened = call("Decrypt", CiphertextBlob=sealed.CiphertextBlob, EncryptionContext=CONTEXT)
    equal((opened.KeyId, opened.Plaintext), (KEY, sealed.Plaintext))
    wrong = {"CiphertextBlob": sealed.CiphertextBlob, "EncryptionContext": "{}"}
    equal(code("Decrypt", **wrong), "InvalidParameterValue.InvalidCiphertext")


@case
def non_ascii_context_is_signed_and_preserved():
    context = json.dumps({"name": "datenbank-ü-数据<&>"}, ensure_ascii=False)
    sealed = call("GenerateDataKey", KeyId=KEY, KeySpec="AES_256", EncryptionContext=context)
    opened = call("Decrypt", CiphertextBlob=sealed.CiphertextBlob, EncryptionContext=context)
    equal(opened.Plaintext, sealed.Plaintext)


@case
def encrypt():
    text = base64.b64encode(b"a data key of another KMS key").decode()
    sealed = call("Encrypt", KeyId=KEY, Plaintext=text, EncryptionContext=CONTEXT)
    opened = call("Decrypt", CiphertextBlob=sealed.CiphertextBlob, EncryptionContext=CONTEXT)
    equal(opened.Plaintext, text)


@case
def re_encrypt():
    sealed = generate()
    parameters = {"CiphertextBlob": sealed.CiphertextBlob, "SourceEncryptionContext": CONTEXT,
                  "DestinationEncryptionContext": CONTEXT}
    same = call("ReEncrypt", **parameters)
    equal((same.ReEncrypted, same.CiphertextBlob), (False, sealed.CiphertextBlob))
    control({"rotate": {"key": KEY}})
    moved = call("ReEncrypt", **parameters)
    equal((moved.ReEncrypted, moved.KeyId, moved.SourceKeyId), (True, KEY, KEY))
    assert moved.CiphertextBlob != sealed.CiphertextBlob
    other = new_key("python-destination")
    there = call("ReEncrypt", DestinationKeyId=other, **parameters)
    opened = call("Decrypt", CiphertextBlob=there.CiphertextBlob, EncryptionContext=CONTEXT)
    equal((opened.KeyId, opened.Plaintext), (other, sealed.Plaintext))


@case
def create_and_describe_keys():
    created = call("CreateKey", Alias="python-created", Description="created by the Python SDK")
    equal((created.KeyState, created.KeyUsage), ("Enabled", "ENCRYPT_DECRYPT"))
    seen = call("DescribeKey", KeyId=created.KeyId).KeyMetadata
    equal((seen.Alias, seen.Description, seen.Owner), ("python-created", "created by the Python SDK", "user"))
    both = call("DescribeKeys", KeyIds=[KEY, created.KeyId]).KeyMetadatas
    equal({key.KeyId for key in both}, {KEY, created.KeyId})
    equal(code("CreateKey", Alias="python-created"), "InvalidParameterValue.AliasAlreadyExists")


@case
def list_keys():
    created = new_key("python-listed")
    listed = call("ListKeys", Offset=0, Limit=200)
    assert created in {key.KeyId for key in listed.Keys}
    equal(listed.TotalCount, len(listed.Keys))
    found = call("ListKeyDetail", Offset=0, Limit=10, SearchKeyAlias="python-listed").KeyMetadatas
    equal([key.KeyId for key in found], [created])


@case
def disable_and_enable_key():
    key = new_key("python-disabled")
    call("DisableKey", KeyId=key)
    equal(code("GenerateDataKey", KeyId=key, KeySpec="AES_256"), "ResourceUnavailable.CmkDisabled")
    call("EnableKey", KeyId=key)
    equal(code("GenerateDataKey", KeyId=key, KeySpec="AES_256"), "")


@case
def rotation():
    key = new_key("python-rotated")
    status = lambda: call("GetKeyRotationStatus", KeyId=key).KeyRotationEnabled
    equal(status(), False)
    call("EnableKeyRotation", KeyId=key, RotateDays=30)
    equal(status(), True)
    call("DisableKeyRotation", KeyId=key)
    equal(status(), False)


@case
def service():
    equal(call("GetServiceStatus").ServiceEnabled, True)
    assert REGION in call("GetRegions").Regions
    assert call("ListAlgorithms").SymmetricAlgorithms


@case
def sdk_reads_error_codes_and_request_ids():
    absent = "23e80852-1e38-11e9-b129-5cb9019b4b01"
    for wanted, action, parameters in [
        ("ResourceUnavailable.CmkNotFound", "DescribeKey", {"KeyId": absent}),
        ("InvalidParameterValue.InvalidKeyId", "DescribeKey", {"KeyId": "alias"}),
        ("MissingParameter", "DescribeKey", {}),
        ("InvalidParameterValue.InvalidCiphertext", "Decrypt", {"CiphertextBlob": "x"}),
        ("InvalidParameterValue.InvalidPlaintext", "Encrypt", {"KeyId": KEY, "Plaintext": "*"}),
    ]:
        equal(code(action, **parameters), wanted)
    try:
        client().call_json("DescribeKey", {"KeyId": KEY, "Unknown": 1})
        raise AssertionError("no error")
    except TencentCloudSDKException as error:
        equal(error.get_code(), "UnknownParameter")
        equal(len(error.get_request_id()), 36)


@case
def wrong_credentials():
    for wanted, who in [
        ("AuthFailure.SignatureFailure", credential.Credential(SECRET_ID, "wrong")),
        ("AuthFailure.SecretIdNotFound", credential.Credential("AKIDunknown", SECRET_KEY)),
        ("AuthFailure.TokenFailure", credential.Credential(SECRET_ID, SECRET_KEY, "token")),
    ]:
        equal(code("GetRegions", client(who)), wanted)


@case
def wrong_clock_is_rejected():
    control({"clock": {"ahead": 600}})
    try:
        equal(code("GetRegions"), "AuthFailure.SignatureExpire")
    finally:
        control({"clock": {"ahead": 0}})


@case
def sdk_retries_throttled_calls_but_raises_the_first_error():
    patient = client(retryer=StandardRetryer(max_attempts=3, backoff_fn=lambda _: 0))
    for times, failed in [(None, 3), (1, 1)]:
        control("clearFaults")
        control("clearCounts")
        fault({"error": {"code": "RequestLimitExceeded"}}, "GetRegions", times)
        # If only the first attempt is throttled, the SDK makes two more, which succeed, and raises the first error anyway.
        equal(code("GetRegions", patient), "RequestLimitExceeded")
        equal([(row["total"], row["failed"]) for row in control("counts")], [(3, failed)])
    equal(code("GetRegions"), "")


@case
def call_quota_is_enforced():
    control({"quotas": {"keys": 200, "calls": 0}})
    try:
        wanted = "RequestLimitExceeded.UinLimitExceeded"
        equal(code("GenerateDataKey", KeyId=KEY, KeySpec="AES_256"), wanted)
    finally:
        control({"quotas": {"keys": 200}})


@case
def broken_responses():
    fault({"status": {"status": 503}}, "GetRegions", 1)
    equal(code("GetRegions"), "ServerNetworkError")
    fault("cut", "GetRegions", 1)
    equal(code("GetRegions"), "ClientNetworkError")
    fault({"latency": {"ms": 3000}}, "GetRegions", 1)
    equal(code("GetRegions", client(timeout=1)), "ClientNetworkError")
    fault("truncated", "GetRegions", 1)
    equal(code("GetRegions"), "JSONDecodeError")  # the SDK's name for it
    fault({"slowBody": {"ms": 500}}, "GetRegions", 1)
    assert call("GetRegions").Regions


@case
def sdk_misses_an_error_if_the_content_type_has_a_charset():
    """The reason why the emulator responds without one."""
    fault({"contentType": {"value": "application/json; charset=utf-8"}}, "DescribeKey", 1)
    request = models.DescribeKeyRequest()
    request.KeyId = "alias"
    equal(client().DescribeKey(request).KeyMetadata, None)


@case
def assume_role():
    who = credential.STSAssumeRoleCredential(
        SECRET_ID, SECRET_KEY, ROLE_ARN, "python", duration_seconds=900, endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "")
    equal(calls("AssumeRole"), 1)
    control("expireTemporary")
    equal(code("GetRegions", client(who)), "AuthFailure.TokenFailure")
    absent = credential.STSAssumeRoleCredential(
        SECRET_ID, SECRET_KEY, ROLE_ARN + "-none", "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(absent)), "ResourceNotFound.RoleNotFound")


def token(key, **claims):
    """Returns a pod token as an API server signs it (RS256)."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": ["sts.cloud.tencent.com"], "sub": SUBJECT, "iat": now, "nbf": now, "exp": now + 600, **claims}
    text = ".".join(url_safe(json.dumps(part).encode()) for part in [{"alg": "RS256", "kid": "k"}, claims])
    return text + "." + url_safe(key.sign(text.encode()))


@case
def assume_role_with_a_pod_token():
    key = RsaKey()
    jwk = {"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", **key.public()}
    provider = {"id": "cls-python", "issuer": ISSUER, "audience": "sts.cloud.tencent.com", "jwks": {"keys": [jwk]}}
    control({"provider": provider})
    trust = {"webIdentity": {"provider": "cls-python", "subject": SUBJECT}}
    arn = control({"role": {"name": "pod", "trust": trust}})["arn"]
    of = lambda text: credential.OIDCRoleArnCredential(REGION, "cls-python", text, arn, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(of(token(key) + "\n"))), "")
    equal(calls("AssumeRoleWithWebIdentity"), 1)
    forged = token(key, sub="system:serviceaccount:envelope:other").rpartition(".")[0] + "." + token(key).rpartition(".")[2]
    for wanted, text in [
        ("InvalidParameter.WebIdentityTokenError", forged),
        ("InvalidParameter.WebIdentityTokenError", token(key, aud=["other"])),
        ("InvalidParameter.WebIdentityTokenError", token(key, exp=1)),
        ("UnauthorizedOperation", token(key, sub="system:serviceaccount:envelope:other")),
    ]:
        equal(code("GetRegions", client(of(text))), wanted)


@case
def malformed_pod_token_is_rejected():
    who = credential.OIDCRoleArnCredential(
        REGION, "cls-unknown", "no.token.here\n", ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "InvalidParameter.ParamError")
    equal(calls("AssumeRoleWithWebIdentity"), 1)


@case
def instance_role():
    who = credential.CVMRoleCredential()
    who._role_endpoint = METADATA + "cam/security-credentials/"
    equal(code("GetRegions", client(who)), "")
    equal(who.role, "instance")


@case
def every_action_has_succeeded():
    equal(ACTIONS - SUCCEEDED, set())


import python_compare  # registers its cases last: they run our own programs


def main():
    # The SDK's STS calls have no setting for the scheme, only this default, which is https.
    original = HttpProfile.__init__

    def plain(self, protocol=None, *args, **kwargs):
        original(self, protocol or "http", *args, **kwargs)

    HttpProfile.__init__ = plain
    control({"machineRole": {"name": "instance"}})
    failed = 0
    for function in CASES:
        control("clearFaults")
        control("clearCounts")
        start = time.monotonic()
        try:
            function()
            print(f"python {function.__name__} ... ok ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"python {function.__name__} ... FAILED\n{traceback.format_exc()}", flush=True)
        SUCCEEDED.update(row["action"] for row in control("counts") if row["failed"] < row["total"])
    print(f"{len(CASES) - failed} passed, {failed} failed, {len(python_compare.COMPARED)} requests compared")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
