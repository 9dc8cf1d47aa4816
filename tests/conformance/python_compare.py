"""What our client sends, beside what Tencent Cloud's Python SDK sends for the same call: field by field."""

import os
import subprocess
import tempfile
import warnings

from python_sdk import *

SECRET = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: conformance}\n"

# The action of each request of ours that was compared.
COMPARED = []

# Headers that mean nothing to the API: we need not send them.
FREE = {"accept-encoding", "connection", "x-tc-traceid"}
# Headers whose values are each one's own; what can be compared of them is, below.
OWN = {"accept", "authorization", "content-length", "user-agent", "x-tc-requestclient", "x-tc-timestamp"}


def run(program, *arguments, stdin=b"", **variables):
    """One of our programs, which may fail."""
    return subprocess.run([os.environ[program], *arguments], input=stdin, capture_output=True,
                          env=os.environ | variables, check=False)


def requests():
    """Since the last `clearCounts`, the oldest first."""
    return order("requests")[::-1]


def of_ours(action):
    """The request that our program made last."""
    ours = [it for it in requests() if it["headers"]["user-agent"].startswith("envelope-secrets/")]
    return [it for it in ours if it["action"] == action][-1]


def authorization(headers):
    """Algorithm, secret id, scope, names of the signed headers."""
    algorithm, rest = headers["authorization"].split(" ", 1)
    fields = dict(field.split("=", 1) for field in rest.split(", "))
    assert len(bytes.fromhex(fields["Signature"])) == 32
    secret_id, scope = fields["Credential"].split("/", 1)
    return algorithm, secret_id, scope, set(fields["SignedHeaders"].split(";"))


def compare(ours, theirs, own=OWN):
    """Every header and every parameter."""
    action, mine, other = ours["action"], ours["headers"], theirs["headers"]
    equal(theirs["action"], action)
    assert other["x-tc-requestclient"].startswith("SDK_PYTHON_"), other
    equal((action, "only ours", set(mine) - set(other)), (action, "only ours", set()))
    only_theirs = set(other) - set(mine)
    assert only_theirs <= FREE, f"{action}: only the SDK sends {only_theirs - FREE}"
    for name in set(mine) - own:
        equal((action, name, mine[name]), (action, name, other[name]))
    assert abs(int(mine["x-tc-timestamp"]) - int(other["x-tc-timestamp"])) < 60, action
    if other["authorization"] == "SKIP":
        equal(mine["authorization"], "SKIP")
    else:
        *same, signed = authorization(mine)
        *wanted, least = authorization(other)
        equal((action, same), (action, wanted))
        assert least <= signed, f"{action}: {signed} are signed"
    COMPARED.append(action)


@case
def our_client_sends_what_the_sdk_sends():
    done = run("EVERY_CALL", "python-ours")
    assert done.returncode == 0, done.stderr.decode()
    # It asks for a new one of the same alias.
    refused = {"CreateKey": "InvalidParameterValue.AliasAlreadyExists"}
    for ours in requests():
        # The SDK's own model of the request warns of what it does not know.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            equal(code(ours["action"], **ours["body"]), refused.get(ours["action"], ""))
        theirs = requests()[-1]
        compare(ours, theirs)
        equal((ours["action"], ours["body"]), (ours["action"], theirs["body"]))


def compare_sts(action):
    """What our program sent last, and what the SDK did after it."""
    ours = of_ours(action)
    theirs = [it for it in requests() if it["action"] == action][-1]
    # The SDK's calls for credentials leave the language at Chinese. The session's name is each one's own.
    compare(ours, theirs, OWN | {"x-tc-language"})
    equal(*(it["body"] | {"RoleSessionName": ""} for it in (ours, theirs)))


@case
def our_program_takes_a_role_as_the_sdk_does():
    run("ENVELOPE", "seal", "--tencent-role-arn", ROLE_ARN, stdin=SECRET)
    who = credential.STSAssumeRoleCredential(SECRET_ID, SECRET_KEY, ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "")
    compare_sts("AssumeRole")


@case
def our_program_takes_a_pods_role_as_the_sdk_does():
    with tempfile.NamedTemporaryFile(suffix=".jwt") as token:
        token.write(b"no.token.here\n")
        token.flush()
        run("ENVELOPE", "seal", stdin=SECRET, TENCENTCLOUD_SECRET_ID="", TENCENTCLOUD_SECRET_KEY="", TKE_REGION=REGION,
            TKE_PROVIDER_ID="cls-unknown", TKE_ROLE_ARN=ROLE_ARN, TKE_WEB_IDENTITY_TOKEN_FILE=token.name)
    # Our program leaves the line's end out of it.
    who = credential.OIDCRoleArnCredential(
        REGION, "cls-unknown", "no.token.here", ROLE_ARN, "python", endpoint=ENDPOINT)
    equal(code("GetRegions", client(who)), "InvalidParameter.ParamError")
    compare_sts("AssumeRoleWithWebIdentity")


@case
def every_action_was_compared():
    equal(ACTIONS - set(COMPARED), set())
