// PostGraphile 5 as its makers advise it for production: the amber preset, prepared statements, a process for each core.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";

const { BENCH_DATABASE_URL, BENCH_PORT, BENCH_PROCESSES, BENCH_CONNECTIONS, BENCH_PLANS } = process.env;

if (cluster.isPrimary) {
  for (let number = 0; number < Number(BENCH_PROCESSES); number++) cluster.fork();
  process.on("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers)) worker.kill();
    process.exit(0);
  });
} else {
  const preset = {
    extends: [PostGraphileAmberPreset],
    pgServices: [
      makePgService({
        connectionString: BENCH_DATABASE_URL,
        schemas: ["peer"],
        poolConfig: { max: Number(BENCH_CONNECTIONS), options: `-c plan_cache_mode=${BENCH_PLANS} -c jit=off` },
      }),
    ],
    grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false, websockets: false },
    grafast: { explain: false },
  };
  const service = postgraphile(preset).createServ(grafserv);
  const server = createServer();
  await service.addTo(server);
  server.listen(Number(BENCH_PORT), "127.0.0.1");
}
