// A client of logservice.v1.LogStream as Node.js programs write it: the
// definition is loaded when the program runs.
//
//   node client.js ADDRESS PROTO-FOLDER push KEY COUNT   pushes lines, several batches on their way
//   node client.js ADDRESS PROTO-FOLDER tail KEY         prints the lines of a log, to its end
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, folder, verb, key, count] = process.argv.slice(2);
const definition = loader.loadSync('logservice/v1/log_stream.proto', {includeDirs: [folder], longs: Number, enums: String, oneofs: true});
const {LogStream} = grpc.loadPackageDefinition(definition).logservice.v1;
const client = new LogStream(address, grpc.credentials.createInsecure());
const account = 'acc';

// close of the client itself is the call of that name.
const disconnect = () => grpc.Client.prototype.close.call(client);

function fail(err) {
  console.error(err.message);
  process.exit(1);
}

function push(total) {
  const call = client.Push();
  const perBatch = 7;
  let acknowledged = 0;
  call.on('error', fail);
  call.on('data', (ack) => {
    acknowledged = Math.min(acknowledged + perBatch, total);
    if (ack.nextSequence !== acknowledged + 1) {
      fail(new Error(`acknowledged ${JSON.stringify(ack)}, want ${acknowledged + 1}`));
    }
  });
  call.on('end', () => {
    if (acknowledged !== total) fail(new Error(`${acknowledged} of ${total} lines acknowledged`));
    disconnect();
  });
  for (let first = 0; first < total; first += perBatch) {
    let lines = '';
    for (let pos = first; pos < Math.min(first + perBatch, total); pos++) {
      lines += JSON.stringify({level: 'info', pos, out: `línea ${pos} \u2028\n`, time: '2026-01-02T15:04:05Z', args: null}) + '\n';
    }
    call.write({account, key, lines: Buffer.from(lines), offset: first + 1});
  }
  call.end();
}

function tail() {
  const call = client.Tail({account, key});
  let last = 0;
  let ended = false;
  call.on('error', fail);
  call.on('data', (m) => {
    if (m.batch) {
      if (m.batch.firstSequence !== last + 1) fail(new Error(`batch from ${m.batch.firstSequence} after ${last}`));
      last += m.batch.count;
      process.stdout.write(m.batch.lines);
    } else if (m.end) {
      ended = true;
    }
  });
  call.on('end', () => {
    if (!ended) fail(new Error('the tail was cut'));
    disconnect();
  });
}

if (verb === 'tail') {
  tail();
} else {
  client.Open({account, key, ttl: {seconds: 3600}}, (err) => (err ? fail(err) : push(Number(count))));
}
