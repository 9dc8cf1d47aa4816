"""Tencent Cloud's Python SDK against the emulator: every action, errors, retries, sources of credentials.

Started by `cargo xtask test conformance` with what the emulator prints in the environment, and EMULATOR_CONTROL for orders.
Ends with `N passed, N failed`.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import warnings
from urllib.parse import urlsplit

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.common.retry import StandardRetryer
from tencentcloud.kms.v20190118 import kms_client, models

ENDPOINT = urlsplit(os.environ["ENVELOPE_TENCENT_ENDPOINT"]).netloc
METADATA = os.environ["ENVELOPE_TENCENT_METADATA_ENDPOINT"] + "/latest/meta-data/"
CONTROL = os.environ["EMULATOR_CONTROL"]
REGION, KEY = os.environ["ENVELOPE_KEY"].removeprefix("tencent-kms://").split("/")
SECRET_ID = os.environ["TENCENTCLOUD_SECRET_ID"]
SECRET_KEY = os.environ["TENCENTCLOUD_SECRET_KEY"]
ROLE_ARN = "qcs::cam::uin/100000000001:roleName/emulator"
CONTEXT = '{"name":"db","namespace":"prod"}'
LONG_LIVED = credential.Credential(SECRET_ID, SECRET_KEY)

CASES = []


def case(function):
    CASES.append(function)
    return function


def order(command):
    request = urllib.request.Request(CONTROL, json.dumps(command).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def fault(effect, action, times=None):
    order({"fault": {"action": action, "times": times, "effect": effect}})


def calls(action):
    return sum(row["total"] for row in order("counts") if row["action"] == action)


def client(who=LONG_LIVED, retryer=None, language="en-US", timeout=5):
    http = HttpProfile(protocol="http", endpoint=ENDPOINT, reqTimeout=timeout)
    profile = ClientProfile(httpProfile=http, language=language, retryer=retryer)
    return kms_client.KmsClient(who, REGION, profile)


def call(action, who=None, **parameters):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(parameters))
    response = getattr(who or client(), action)(request)
    assert len(response.RequestId) == 36, response.RequestId
    return response


def code(action, who=None, **parameters):
    try:
        call(action, who, **parameters)
    except TencentCloudSDKException as error:
        return error.get_code()
    return ""


def generate():
    return call("GenerateDataKey", KeyId=KEY, KeySpec="AES_256", EncryptionContext=CONTEXT)


def new_key(alias):
    return call("CreateKey", Alias=alias, Description="of the Python SDK").KeyId


def equal(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


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
def a_context_beyond_ascii_is_signed_and_kept():
    context = json.dumps({"name": "datenbank-ü-数据<&>"}, ensure_ascii=False)
    sealed = call("GenerateDataKey", KeyId=KEY, KeySpec="AES_256", EncryptionContext=context)
    opened = call("Decrypt", CiphertextBlob=sealed.CiphertextBlob, EncryptionContext=context)
    equal(opened.Plaintext, sealed.Plaintext)


@case
def encrypt():
    text = base64.b64encode(b"a data key of another key's").decode()
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
    order({"rotate": {"key": KEY}})
    moved = call("ReEncrypt", **parameters)
    equal((moved.ReEncrypted, moved.KeyId, moved.SourceKeyId), (True, KEY, KEY))
    assert moved.CiphertextBlob != sealed.CiphertextBlob
    other = new_key("python-destination")
    there = call("ReEncrypt", DestinationKeyId=other, **parameters)
    opened = call("Decrypt", CiphertextBlob=there.CiphertextBlob, EncryptionContext=CONTEXT)
    equal((opened.KeyId, opened.Plaintext), (other, sealed.Plaintext))


@case
def create_and_describe_keys():
    made = call("CreateKey", Alias="python-made", Description="of the Python SDK")
    equal((made.KeyState, made.KeyUsage), ("Enabled", "ENCRYPT_DECRYPT"))
    seen = call("DescribeKey", KeyId=made.KeyId).KeyMetadata
    equal((seen.Alias, seen.Description, seen.Owner), ("python-made", "of the Python SDK", "user"))
    both = call("DescribeKeys", KeyIds=[KEY, made.KeyId]).KeyMetadatas
    equal({key.KeyId for key in both}, {KEY, made.KeyId})
    equal(code("CreateKey", Alias="python-made"), "InvalidParameterValue.AliasAlreadyExists")


@case
def list_keys():
    made = new_key("python-listed")
    listed = call("ListKeys", Offset=0, Limit=200)
    assert made in {key.KeyId for key in listed.Keys}
    equal(listed.TotalCount, len(listed.Keys))
    found = call("ListKeyDetail", Offset=0, Limit=10, SearchKeyAlias="python-listed").KeyMetadatas
    equal([key.KeyId for key in found], [made])


@case
def disable_and_enable_a_key():
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
def errors_come_as_the_sdk_reads_them():
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
def a_clock_that_is_off():
    order({"clock": {"ahead": 600}})
    try:
        equal(code("GetRegions"), "AuthFailure.SignatureExpire")
    finally:
        order({"clock": {"ahead": 0}})


@case
def throttling_is_retried_and_the_error_is_kept_as_the_sdk_has_it():
    fault({"error": {"code": "RequestLimitExceeded"}}, "GetRegions")
    patient = client(retryer=StandardRetryer(max_attempts=3, backoff_fn=lambda _: 0))
    equal(code("GetRegions", patient), "RequestLimitExceeded")
    equal(calls("GetRegions"), 3)


@case
def a_quota_of_calls():
    order({"quotas": {"keys": 200, "calls": 0}})
    try:
        wanted = "RequestLimitExceeded.UinLimitExceeded"
        equal(code("GenerateDataKey", KeyId=KEY, KeySpec="AES_256"), wanted)
    finally:
        order({"quotas": {"keys": 200}})


@case
def broken_answers():
    fault({"status": {"status": 503}}, "GetRegions", 1)
    equal(code("GetRegions"), "ServerNetworkError")
    fault("cut", "GetRegions", 1)
    equal(code("GetRegions"), "ClientNetworkError")
    fault({"latency": {"ms": 3000}}, "GetRegions", 1)
    equal(code("GetRegions", client(timeout=1)), "ClientNetworkError")
    fault("truncated", "GetRegions", 1)
    equal(code("GetRegions"), "JSONDecodeError")  # as the SDK names it
    fault({"slowBody": {"ms": 500}}, "GetRegions", 1)
    assert call("GetRegions").Regions


@case
def an_error_with_a_charset_is_lost_by_the_sdk():
    """Why the emulator answers without one."""
    fault({"contentType": {"value": "application/json; charset=utf-8"}}, "DescribeKey", 1)
    request = models.DescribeKeyRequest()
    request.KeyId = "alias"
    equal(client().DescribeKey(request).KeyMetadata, None)


@case
def credentials_of_a_role():
    who = credential.STSAssumeRoleCredential(
        SECRET_ID, SECRET_KEY, ROLE_ARN, "python", duration_seconds=900, endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "")
    equal(calls("AssumeRole"), 1)
    order("expireTemporary")
    equal(code("GetRegions", client(who)), "AuthFailure.TokenFailure")
    absent = credential.STSAssumeRoleCredential(
        SECRET_ID, SECRET_KEY, ROLE_ARN + "-none", "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(absent)), "ResourceNotFound.RoleNotFound")


@case
def a_pods_token_that_is_none():
    who = credential.OIDCRoleArnCredential(
        REGION, "cls-unknown", "no.token.here\n", ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "InvalidParameter.ParamError")
    equal(calls("AssumeRoleWithWebIdentity"), 1)


@case
def credentials_of_a_machine():
    who = credential.CVMRoleCredential()
    who._role_endpoint = METADATA + "cam/security-credentials/"
    equal(code("GetRegions", client(who)), "")
    equal(who.role, "machine")


SECRET = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: conformance}\n"


def envelope(*arguments, stdin, **variables):
    """What our program prints; it may fail."""
    done = subprocess.run([os.environ["ENVELOPE"], *arguments], input=stdin, capture_output=True,
                          env={**os.environ, **variables}, check=False)
    return done.stdout


def sent(action):
    return next(request for request in order("requests") if request["action"] == action)


def compare(action, ours, theirs):
    """Field by field: every header and every parameter."""
    mine, other = ours["headers"], theirs["headers"]
    assert mine["user-agent"].startswith("envelope-secrets/"), mine
    assert other["x-tc-requestclient"].startswith("SDK_PYTHON_"), other
    only_ours, only_theirs = set(mine) - set(other), set(other) - set(mine)
    equal((action, only_ours), (action, set()))
    # What carries no meaning for the API.
    free = {"accept-encoding", "connection", "x-tc-traceid", "x-tc-requestclient"}
    assert only_theirs <= free, f"{action}: only the SDK sends {only_theirs - free}"
    own = {"authorization", "user-agent", "x-tc-timestamp", "x-tc-requestclient", "content-length", "accept",
           "x-tc-token", "accept-encoding", "connection"}
    for name in (set(mine) & set(other)) - own:
        equal((action, name, mine[name]), (action, name, other[name]))
    if other["authorization"] == "SKIP":
        equal(mine["authorization"], "SKIP")
    else:
        scope = lambda headers: headers["authorization"].split(", ")[0].split("/")[1:]
        signed = lambda headers: headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        equal((action, scope(mine)), (action, scope(other)))
        assert set(signed(other)) <= set(signed(mine)), f"{action}: {signed(mine)}"
    equal((action, sorted(ours["body"])), (action, sorted(theirs["body"])))


@case
def our_program_sends_what_the_sdk_sends():
    second = f"tencent-kms://{REGION}/{new_key('python-second')}"
    keys = ["--key", os.environ["ENVELOPE_KEY"], "--key", second]
    sealed = envelope("seal", *keys, stdin=SECRET)
    assert sealed, "our program does not seal"
    assert envelope("open", *keys, stdin=sealed), "our program does not open"
    for action in ["GenerateDataKey", "Encrypt", "Decrypt"]:
        ours = sent(action)
        # The SDK's own model of the request warns of what it does not know.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call(action, **ours["body"])
        theirs = sent(action)
        compare(action, ours, theirs)
        equal((action, ours["body"]), (action, theirs["body"]))


@case
def our_program_takes_roles_as_the_sdk_does():
    envelope("seal", "--tencent-role-arn", ROLE_ARN, stdin=SECRET)
    ours = sent("AssumeRole")
    who = credential.STSAssumeRoleCredential(SECRET_ID, SECRET_KEY, ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "")
    # The SDK's chain leaves the language at Chinese.
    ours["headers"]["x-tc-language"] = sent("AssumeRole")["headers"]["x-tc-language"]
    compare("AssumeRole", ours, sent("AssumeRole"))
    with tempfile.NamedTemporaryFile(suffix=".jwt") as token:
        token.write(b"no.token.here\n")
        token.flush()
        envelope("seal", stdin=SECRET, TENCENTCLOUD_SECRET_ID="", TENCENTCLOUD_SECRET_KEY="", TKE_REGION=REGION,
                 TKE_PROVIDER_ID="cls-unknown", TKE_ROLE_ARN=ROLE_ARN, TKE_WEB_IDENTITY_TOKEN_FILE=token.name)
    action = "AssumeRoleWithWebIdentity"
    ours = sent(action)
    equal(ours["body"]["WebIdentityToken"], "no.token.here")
    who = credential.OIDCRoleArnCredential(
        REGION, "cls-unknown", "no.token.here", ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "InvalidParameter.ParamError")
    ours["headers"]["x-tc-language"] = sent(action)["headers"]["x-tc-language"]
    compare(action, ours, sent(action))


def main():
    # The SDK's own calls of STS take no scheme: https, but for this default.
    original = HttpProfile.__init__

    def plain(self, protocol=None, *args, **kwargs):
        original(self, protocol or "http", *args, **kwargs)

    HttpProfile.__init__ = plain
    order({"machineRole": {"name": "machine"}})
    failed = 0
    for function in CASES:
        order("clearFaults")
        order("clearCounts")
        begun = time.monotonic()
        try:
            function()
            print(f"python {function.__name__} ... ok ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"python {function.__name__} ... FAILED\n{traceback.format_exc()}", flush=True)
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
