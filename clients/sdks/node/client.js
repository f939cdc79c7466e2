// Calls both operations by the SDK for Node.js at each endpoint, by GET and POST.
//
// Usage: node client.js ENDPOINT...

import { iai } from "tencentcloud-sdk-nodejs";

function connect(endpoint, reqMethod, secretKey) {
  const { protocol, host } = new URL(endpoint);
  return new iai.v20200303.Client({
    credential: { secretId: "AKIDEMULATOR", secretKey },
    profile: { httpProfile: { protocol: `${protocol}//`, endpoint: host, reqMethod } },
  });
}

async function groupName(client, GroupId) {
  return (await client.GetGroupInfo({ GroupId })).GroupName;
}

async function pages(client, PersonId) {
  const Limit = 10;
  const pages = [];
  for (let Offset = 0, total = 1; Offset < total; Offset += Limit) {
    const response = await client.GetPersonGroupInfo({ PersonId, Offset, Limit });
    pages.push(response.PersonGroupInfos.map((group) => group.GroupId));
    total = response.GroupNum;
  }
  return pages;
}

for (const endpoint of process.argv.slice(2)) {
  for (const method of ["GET", "POST"]) {
    const client = connect(endpoint, method, "emulator-secret");
    const wrongKey = connect(endpoint, method, "wrong");
    const result = {
      endpoint,
      method,
      name: await groupName(client, "known"),
      pages: await pages(client, "alice"),
      unknown: await groupName(client, "unknown").catch((error) => error.code),
      wrong_key: await groupName(wrongKey, "known").catch((error) => error.code),
    };
    console.log(JSON.stringify(result));
  }
}
