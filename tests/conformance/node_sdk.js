// Helpers for cases: Tencent Cloud's Node SDK and the emulator.
"use strict";

const assert = require("node:assert/strict");
const { CommonClient } = require("tencentcloud-sdk-nodejs-common");

const host = new URL(process.env.ENVELOPE_TENCENT_ENDPOINT).host;
const [region, key] = process.env.ENVELOPE_KEY.replace("tencent-kms://", "").split("/");
const longLived = {
  secretId: process.env.TENCENTCLOUD_SECRET_ID,
  secretKey: process.env.TENCENTCLOUD_SECRET_KEY,
};
const account = "qcs::cam::uin/100000000001:roleName/";
// The actions to cover: those of our client, and those of the suite `live`.
const actions = require("./actions.json");
const context = '{"name":"db","namespace":"prod"}';

async function control(command) {
  const response = await fetch(process.env.EMULATOR_CONTROL, { method: "POST", body: JSON.stringify(command) });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body;
}

function client(version, credential, endpoint = host) {
  const profile = { language: "en-US", httpProfile: { protocol: "http://", reqTimeout: 2 } };
  return new CommonClient(endpoint, version, { credential, region, profile });
}

const kms = (action, parameters, credential = longLived) => client("2019-01-18", credential).request(action, parameters);
const sts = (action, parameters, options) => client("2018-08-13", longLived).request(action, parameters, options);

async function code(promise) {
  const error = await promise.then(
    () => assert.fail("no error"),
    (error) => error,
  );
  if (error instanceof assert.AssertionError) throw error;
  return error.code;
}

module.exports = { account, actions, client, code, context, host, key, kms, longLived, control, region, sts };
