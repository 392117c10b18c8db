// Lends the npm client ali-oss to judge_ali_oss.py: one JSON line in is a call, one JSON line out its answer.
// Bodies travel in base64. The calls are answered in order, one at a time.

import OSS from 'ali-oss';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';

function client({ endpoint, region, bucket, accessKeyId, accessKeySecret, securityToken, signature, pathStyle }) {
  const stsToken = securityToken ?? undefined;
  return new OSS({
    endpoint,
    region: `oss-${region}`,
    bucket,
    accessKeyId,
    accessKeySecret,
    stsToken,
    // Without a way to refresh the token ali-oss prints advice where our answers go.
    refreshSTSToken: stsToken && (async () => ({ accessKeyId, accessKeySecret, stsToken })),
    authorizationV4: signature === 'v4',
    sldEnable: pathStyle,
  });
}

const bytes = (base64) => Buffer.from(base64, 'base64');
const answer = ({ res }, content) => ({
  status: res.status,
  headers: res.headers,
  body: content?.toString('base64') ?? '',
});
// An empty value would be signed as `name=` with V4, where OSS and the other SDKs sign `name`.
const given = (query) => Object.fromEntries(Object.entries(query).filter(([, value]) => value));

const listing = ({ objects, prefixes, isTruncated, nextContinuationToken, nextMarker }) => ({
  keys: objects.map(({ name }) => name),
  sizes: objects.map(({ size }) => size),
  kinds: objects.map(({ type }) => type),
  prefixes: prefixes ?? [],
  nextToken: isTruncated ? (nextContinuationToken ?? nextMarker) : null,
});

const calls = {
  put: async (oss, { key, data, meta, headers }) => answer(await oss.put(key, bytes(data), { meta, headers })),

  putStream: async (oss, { key, pieces }) => answer(await oss.put(key, Readable.from(pieces.map(bytes)))),

  get: async (oss, { key, headers, query }) => {
    // With V4 the headers are signed as additional ones.
    const { res, content } = await oss.get(key, { headers, subres: query, additionalHeaders: Object.keys(headers) });
    return answer({ res }, content);
  },

  head: async (oss, { key }) => answer(await oss.head(key)),

  objectMeta: async (oss, { key }) => answer(await oss.getObjectMeta(key)),

  acl: async (oss, { key }) => ({ acl: (await oss.getACL(key)).acl }),

  tags: async (oss, { key }) => ({ tags: (await oss.getObjectTagging(key)).tag }),

  putTags: async (oss, { key, tags }) => {
    await oss.putObjectTagging(key, tags);
    return {};
  },

  deleteTags: async (oss, { key }) => {
    await oss.deleteObjectTagging(key);
    return {};
  },

  putLink: async (oss, { key, target, headers }) => {
    await oss.putSymlink(key, target, { headers });
    return {};
  },

  linkTarget: async (oss, { key }) => ({ target: (await oss.getSymlink(key)).targetName }),

  restore: async (oss, { key, days, tier, version }) => {
    const type = tier ? 'ColdArchive' : 'Archive';
    return answer(await oss.restore(key, given({ type, Days: days, JobParameters: tier, versionId: version })));
  },

  append: async (oss, { key, position, data }) => {
    const { nextAppendPosition } = await oss.append(key, bytes(data), { position: String(position) });
    return { position: Number(nextAppendPosition) };
  },

  copy: async (oss, { source, key, headers, version, bucket }) => {
    const options = { headers, ...(version ? { versionId: version } : {}) };
    const { data } = bucket ? await oss.copy(key, source, bucket, options) : await oss.copy(key, source, options);
    return { etag: data.etag };
  },

  delete: async (oss, { key, version }) => answer(await oss.delete(key, version ? { versionId: version } : {})),

  deleteMany: async (oss, { keys }) => ({ keys: (await oss.deleteMulti(keys)).deleted.map(({ Key }) => Key) }),

  deleteMulti: async (oss, { named }) => ({ deleted: (await oss.deleteMulti(named)).deleted }),

  putVersioning: async (oss, { status }) => {
    await oss.putBucketVersioning(oss.getBucket(), status);
    return {};
  },

  getVersioning: async (oss) => ({ status: (await oss.getBucketVersioning(oss.getBucket())).versionStatus ?? null }),

  listVersions: async (oss, { prefix, delimiter, page, marker }) => {
    const [keyMarker, versionIdMarker] = marker ?? [];
    const query = given({ prefix, delimiter, 'max-keys': page, 'key-marker': keyMarker });
    const { objects, deleteMarker, prefixes, isTruncated, nextKeyMarker, nextVersionIdMarker } =
      await oss.listObjectVersions({ ...query, ...given({ 'version-id-marker': versionIdMarker }) });
    return {
      objects,
      markers: deleteMarker,
      prefixes: prefixes ?? [],
      nextMarker: isTruncated ? [nextKeyMarker, nextVersionIdMarker] : null,
    };
  },

  list: async (oss, { prefix, delimiter, page, token }) =>
    listing(await oss.listV2(given({ prefix, delimiter, 'max-keys': page, 'continuation-token': token }))),

  listV1: async (oss, { prefix, delimiter, page, marker }) =>
    listing(await oss.list(given({ prefix, delimiter, 'max-keys': page, marker }))),

  initiate: async (oss, { key, headers }) => ({ uploadId: (await oss.initMultipartUpload(key, { headers })).uploadId }),

  uploadPart: async (oss, { key, uploadId, number, data }) => {
    const body = bytes(data);
    return answer(await oss.uploadPart(key, uploadId, number, body, 0, body.length));
  },

  uploadPartCopy: async (oss, { key, uploadId, number, source, start, stop }) => {
    const from = { sourceKey: source, sourceBucketName: oss.options.bucket };
    await oss.uploadPartCopy(key, uploadId, number, `${start}-${stop - 1}`, from);
    return {};
  },

  listParts: async (oss, { key, uploadId, page, marker }) => {
    const query = given({ 'max-parts': page, 'part-number-marker': marker });
    const { parts, isTruncated, nextPartNumberMarker } = await oss.listParts(key, uploadId, query);
    return {
      parts: [parts].flat().map(({ PartNumber, ETag, Size, HashCrc64ecma }) => ({
        number: Number(PartNumber),
        etag: ETag,
        size: Number(Size),
        crc64: HashCrc64ecma,
      })),
      nextMarker: isTruncated === 'true' ? Number(nextPartNumberMarker) : null,
    };
  },

  complete: async (oss, { key, uploadId, parts, headers }) =>
    answer(await oss.completeMultipartUpload(key, uploadId, parts, { headers })),

  abort: async (oss, { key, uploadId }) => {
    await oss.abortMultipartUpload(key, uploadId);
    return {};
  },

  listUploads: async (oss, { prefix, page, marker }) => {
    const [keyMarker, uploadIdMarker] = marker ?? [];
    const query = given({ prefix, 'max-uploads': page, 'key-marker': keyMarker, 'upload-id-marker': uploadIdMarker });
    const { uploads, isTruncated, nextKeyMarker, nextUploadIdMarker } = await oss.listUploads(query);
    return {
      uploads: uploads.map(({ name, uploadId }) => [name, uploadId]),
      nextMarker: isTruncated ? [nextKeyMarker, nextUploadIdMarker] : null,
    };
  },

  presign: async (oss, { method, key, seconds, headers }) => ({
    url: oss.options.authorizationV4
      ? await oss.signatureUrlV4(method, seconds, { headers }, key)
      : await oss.asyncSignatureUrl(key, { method, expires: seconds, ...headers }),
  }),

  account: async (oss) => ({ owner: (await oss.listBuckets({ 'max-keys': 1 })).owner.id }),

  listBuckets: async (oss) => ({ names: (await oss.listBuckets()).buckets.map(({ name }) => name) }),

  bucketInfo: async (oss) => {
    const { Name, Location, StorageClass, Owner } = (await oss.getBucketInfo(oss.getBucket())).bucket;
    return { name: Name, location: Location, storageClass: StorageClass, owner: Owner.ID };
  },

  bucketLocation: async (oss) => ({ location: (await oss.getBucketLocation(oss.getBucket())).location }),

  makeBucket: async (oss) => {
    await oss.putBucket(oss.getBucket());
    return {};
  },

  removeBucket: async (oss) => {
    await oss.deleteBucket(oss.getBucket());
    return {};
  },

  // ali-oss keeps no checkpoint: it hands one to `progress` after each part, and takes it back in a later call.
  multipartUpload: async (oss, { key, file, partSize, parallel, checkpoint }) => {
    let last = checkpoint ?? null;
    const progress = (_, reached) => {
      last = reached ? structuredClone(reached) : last;
    };
    try {
      await oss.multipartUpload(key, file, { partSize, parallel, progress, checkpoint: checkpoint ?? undefined });
      return { checkpoint: last, refused: null };
    } catch (error) {
      return { checkpoint: last, refused: refusal(error) };
    }
  },
};

const refusal = ({ status, code, name, message, requestId, ecCode }) => ({
  status: status ?? 0,
  code: code ?? '',
  kind: name,
  message,
  requestId: requestId ?? '',
  ec: ecCode ?? null,
});

for await (const line of createInterface({ input: process.stdin })) {
  const { call, access, asked } = JSON.parse(line);
  let said;
  try {
    said = { answer: await calls[call](client(access), asked) };
  } catch (error) {
    said = { refused: refusal(error) };
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
