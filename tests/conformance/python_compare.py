"""Compares the requests of our client with those of Tencent Cloud's Python SDK for the same calls, field by field."""

import os
import subprocess
import tempfile
import warnings

from python_sdk import *

SECRET = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: conformance}\n"

# The action of each compared request.
COMPARED = []

# Headers that have no meaning for the API: our client need not send them.
OPTIONAL = {"accept-encoding", "connection", "x-tc-traceid"}
# Headers whose values differ; the comparable parts are compared separately.
DIFFERENT = {"accept", "authorization", "content-length", "user-agent", "x-tc-requestclient", "x-tc-timestamp"}


def run(program, *arguments, stdin=b"", **variables):
    """Runs one of our programs, which may fail."""
    return subprocess.run([os.environ[program], *arguments], input=stdin, capture_output=True,
                          env=os.environ | variables, check=False)


def requests():
    """Returns the requests since the last `clearCounts`, the oldest first."""
    return control("requests")[::-1]


def last_of_ours(action):
    """Returns the last request of our program."""
    ours = [it for it in requests() if it["headers"]["user-agent"].startswith("envelope-secrets/")]
    return [it for it in ours if it["action"] == action][-1]


def authorization(headers):
    """Returns the algorithm, secret id, scope, and names of the signed headers."""
    algorithm, rest = headers["authorization"].split(" ", 1)
    fields = dict(field.split("=", 1) for field in rest.split(", "))
    assert len(bytes.fromhex(fields["Signature"])) == 32
    secret_id, scope = fields["Credential"].split("/", 1)
    return algorithm, secret_id, scope, set(fields["SignedHeaders"].split(";"))


def compare(ours, theirs, different=DIFFERENT):
    """Compares every header of two requests."""
    action, mine, other = ours["action"], ours["headers"], theirs["headers"]
    equal(theirs["action"], action)
    assert other["x-tc-requestclient"].startswith("SDK_PYTHON_"), other
    equal((action, "only ours", set(mine) - set(other)), (action, "only ours", set()))
    only_theirs = set(other) - set(mine)
    assert only_theirs <= OPTIONAL, f"{action}: only the SDK sends {only_theirs - OPTIONAL}"
    for name in set(mine) - different:
        equal((action, name, mine[name]), (action, name, other[name]))
    assert abs(int(mine["x-tc-timestamp"]) - int(other["x-tc-timestamp"])) < 60, action
    if other["authorization"] == "SKIP":
        equal(mine["authorization"], "SKIP")
    else:
        *same, signed = authorization(mine)
        *wanted, required = authorization(other)
        equal((action, same), (action, wanted))
        assert required <= signed, f"{action}: {signed} are signed"
    COMPARED.append(action)


@case
def our_client_sends_the_same_requests_as_the_sdk():
    done = run("EVERY_CALL", "python-ours")
    assert done.returncode == 0, done.stderr.decode()
    # The SDK repeats the call with the same alias.
    refused = {"CreateKey": "InvalidParameterValue.AliasAlreadyExists"}
    for ours in requests():
        # The SDK's model of the request warns about unknown parameters.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            equal(code(ours["action"], **ours["body"]), refused.get(ours["action"], ""))
        theirs = requests()[-1]
        compare(ours, theirs)
        equal((ours["action"], ours["body"]), (ours["action"], theirs["body"]))


def compare_sts(action):
    """Compares the last request of our program with the SDK's after it."""
    ours = last_of_ours(action)
    theirs = [it for it in requests() if it["action"] == action][-1]
    # The SDK's STS calls use the default language, Chinese. The session names differ.
    compare(ours, theirs, DIFFERENT | {"x-tc-language"})
    equal(*(it["body"] | {"RoleSessionName": ""} for it in (ours, theirs)))


@case
def our_program_assumes_a_role_like_the_sdk():
    run("ENVELOPE", "seal", "--tencent-role-arn", ROLE_ARN, stdin=SECRET)
    who = credential.STSAssumeRoleCredential(SECRET_ID, SECRET_KEY, ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "")
    compare_sts("AssumeRole")


@case
def our_program_assumes_a_pod_role_like_the_sdk():
    with tempfile.NamedTemporaryFile(suffix=".jwt") as token:
        token.write(b"no.token.here\n")
        token.flush()
        run("ENVELOPE", "seal", stdin=SECRET, TENCENTCLOUD_SECRET_ID="", TENCENTCLOUD_SECRET_KEY="", TKE_REGION=REGION,
            TKE_PROVIDER_ID="cls-unknown", TKE_ROLE_ARN=ROLE_ARN, TKE_WEB_IDENTITY_TOKEN_FILE=token.name)
    # Our program trims the line break.
    who = credential.OIDCRoleArnCredential(
        REGION, "cls-unknown", "no.token.here", ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "InvalidParameter.ParamError")
    compare_sts("AssumeRoleWithWebIdentity")


@case
def every_action_was_compared():
    equal(ACTIONS - set(COMPARED), set())
