// The judge: Apache's own Java client, one JVM for a whole test process.
//
// A line on stdin is a command, {"id": n, "cmd": "...", ...}; a line on stdout is {"id": n, "line": {...}} any number
// of times, then {"id": n, "done": true} or {"id": n, "error": "...", "class": "..."}. Commands run side by side.
// With the end of stdin the JVM ends.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

public final class Reader {
    static final ObjectMapper JSON = new ObjectMapper();
    static final PrintStream OUT = System.out;

    interface Command { void run(JsonNode in, Consumer<ObjectNode> line) throws Exception; }

    static final Map<String, Command> COMMANDS = new HashMap<>();
    static {
        COMMANDS.put("create-topic", Reader::createTopic);
        COMMANDS.put("delete-topic", Reader::deleteTopic);
        COMMANDS.put("describe-topic", Reader::describeTopic);
        COMMANDS.put("end-offsets", Reader::endOffsets);
        COMMANDS.put("group-offsets", Reader::groupOffsets);
        COMMANDS.put("transactions", Reader::transactions);
        COMMANDS.put("features", Reader::features);
        COMMANDS.put("read", Reader::read);
        COMMANDS.put("write", Reader::write);
        COMMANDS.put("verify-copy", Reader::verifyCopy);
    }

    public static void main(String[] args) throws Exception {
        System.setOut(System.err);
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text; (text = in.readLine()) != null; ) {
            JsonNode command = JSON.readTree(text);
            var thread = new Thread(() -> answer(command));
            thread.setDaemon(true);
            thread.start();
        }
        Runtime.getRuntime().halt(0);
    }

    static void answer(JsonNode in) {
        ObjectNode last = JSON.createObjectNode();
        try {
            Command command = COMMANDS.get(in.get("cmd").asText());
            command.run(in, line -> print(in, JSON.createObjectNode().set("line", line)));
            last.put("done", true);
        } catch (Throwable thrown) {
            Throwable cause = thrown instanceof ExecutionException && thrown.getCause() != null ? thrown.getCause() : thrown;
            last.put("error", String.valueOf(cause.getMessage())).put("class", cause.getClass().getSimpleName());
        }
        print(in, last);
    }

    static void print(JsonNode in, ObjectNode answer) {
        String text = answer.put("id", in.get("id").asLong()).toString();
        synchronized (OUT) {
            OUT.println(text);
            OUT.flush();
        }
    }

    static Properties connect(JsonNode in) {
        var properties = new Properties();
        properties.put("bootstrap.servers", in.get("bootstrap").asText());
        // A broker that was killed comes back on its port: try again soon.
        properties.put("reconnect.backoff.max.ms", "100");
        properties.put("retry.backoff.ms", "20");
        properties.put("retry.backoff.max.ms", "100");
        return properties;
    }

    static Admin admin(JsonNode in) { return Admin.create(connect(in)); }

    static KafkaConsumer<byte[], byte[]> consumer(JsonNode in) {
        Properties properties = connect(in);
        properties.put("isolation.level", in.get("isolation").asText());
        properties.put("auto.offset.reset", "none");
        properties.put("max.poll.records", "5000");
        properties.put("fetch.max.wait.ms", "50");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static String topic(JsonNode in) { return in.get("topic").asText(); }

    static List<TopicPartition> partitions(Admin admin, String topic) throws Exception {
        var description = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        var all = new ArrayList<TopicPartition>();
        for (var partition : description.partitions()) all.add(new TopicPartition(topic, partition.partition()));
        return all;
    }

    // ---- topics ----

    static void createTopic(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        var configs = new HashMap<String, String>();
        in.get("configs").fields().forEachRemaining(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
        int count = in.get("partitions").asInt();
        try (Admin admin = admin(in)) {
            var topic = new NewTopic(topic(in), count, (short) in.get("replicas").asInt()).configs(configs);
            admin.createTopics(List.of(topic)).all().get();
            // Created is not yet led: wait until a producer would find every leader and full replica sets.
            for (boolean led = false; !led; ) {
                Thread.sleep(10);
                try {
                    var description = admin.describeTopics(List.of(topic(in))).allTopicNames().get().get(topic(in));
                    led = description.partitions().size() == count && description.partitions().stream()
                        .allMatch(p -> p.leader() != null && p.leader().port() > 0 && p.isr().size() == p.replicas().size());
                } catch (ExecutionException e) {
                    if (!(e.getCause() instanceof UnknownTopicOrPartitionException)) throw e;
                }
            }
        }
    }

    static void deleteTopic(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        try (Admin admin = admin(in)) {
            admin.deleteTopics(List.of(topic(in))).all().get();
        }
    }

    static void describeTopic(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        try (Admin admin = admin(in)) {
            var description = admin.describeTopics(List.of(topic(in))).allTopicNames().get().get(topic(in));
            ObjectNode out = JSON.createObjectNode().put("topic_id", description.topicId().toString());
            var list = out.putArray("partitions");
            for (var partition : description.partitions()) {
                ObjectNode one = list.addObject().put("partition", partition.partition());
                one.put("leader", partition.leader() == null ? -1 : partition.leader().id());
                nodes(one, "replicas", partition.replicas());
                nodes(one, "isr", partition.isr());
            }
            line.accept(out);
        }
    }

    static void nodes(ObjectNode out, String name, List<Node> nodes) {
        var list = out.putArray(name);
        nodes.forEach(node -> list.add(node.id()));
    }

    static void features(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        try (Admin admin = admin(in)) {
            ObjectNode out = JSON.createObjectNode();
            admin.describeFeatures().featureMetadata().get().finalizedFeatures()
                .forEach((name, range) -> out.put(name, range.maxVersionLevel()));
            line.accept(out);
        }
    }

    // ---- offsets and transactions ----

    static Map<TopicPartition, Long> offsets(Admin admin, List<TopicPartition> all, OffsetSpec spec, IsolationLevel level)
        throws Exception {
        var query = new HashMap<TopicPartition, OffsetSpec>();
        all.forEach(partition -> query.put(partition, spec));
        var result = new TreeMap<TopicPartition, Long>(Comparator.comparingInt(TopicPartition::partition));
        admin.listOffsets(query, new ListOffsetsOptions(level)).all().get().forEach((p, info) -> result.put(p, info.offset()));
        return result;
    }

    static void endOffsets(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        try (Admin admin = admin(in)) {
            var all = partitions(admin, topic(in));
            var earliest = offsets(admin, all, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED);
            var high = offsets(admin, all, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED);
            var stable = offsets(admin, all, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED);
            for (var partition : earliest.keySet()) {
                line.accept(JSON.createObjectNode().put("partition", partition.partition())
                    .put("earliest", earliest.get(partition)).put("high_watermark", high.get(partition))
                    .put("last_stable", stable.get(partition)));
            }
        }
    }

    static void groupOffsets(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        try (Admin admin = admin(in)) {
            var offsets = admin.listConsumerGroupOffsets(in.get("group").asText()).partitionsToOffsetAndMetadata().get();
            for (var entry : offsets.entrySet()) {
                if (entry.getValue() == null) continue;
                line.accept(JSON.createObjectNode().put("topic", entry.getKey().topic())
                    .put("partition", entry.getKey().partition()).put("offset", entry.getValue().offset())
                    .put("metadata", entry.getValue().metadata()));
            }
        }
    }

    static void transactions(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        String prefix = in.get("prefix").asText();
        try (Admin admin = admin(in)) {
            for (var listing : admin.listTransactions().all().get()) {
                if (!listing.transactionalId().startsWith(prefix)) continue;
                line.accept(JSON.createObjectNode().put("transactional_id", listing.transactionalId())
                    .put("producer_id", listing.producerId()).put("state", listing.state().toString()));
            }
        }
    }

    // ---- records ----

    /** Every record from the beginning to the end as it was at the start; control records are passed by position. */
    static void scan(JsonNode in, Consumer<ConsumerRecord<byte[], byte[]>> each) throws Exception {
        try (Admin admin = admin(in); var consumer = consumer(in)) {
            var all = partitions(admin, topic(in));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            var end = new HashMap<>(consumer.endOffsets(all));
            while (true) {
                end.entrySet().removeIf(entry -> consumer.position(entry.getKey()) >= entry.getValue());
                consumer.pause(all.stream().filter(partition -> !end.containsKey(partition)).toList());
                if (end.isEmpty()) return;
                for (var record : consumer.poll(Duration.ofMillis(100))) {
                    Long last = end.get(new TopicPartition(record.topic(), record.partition()));
                    if (last != null && record.offset() < last) each.accept(record);
                }
            }
        }
    }

    static void read(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        scan(in, record -> {
            ObjectNode out = JSON.createObjectNode().put("partition", record.partition()).put("offset", record.offset())
                .put("timestamp", record.timestamp()).put("timestamp_type", record.timestampType().name)
                .put("key", base64(record.key())).put("value", base64(record.value()));
            var headers = out.putArray("headers");
            for (Header header : record.headers()) headers.addArray().add(header.key()).add(base64(header.value()));
            line.accept(out);
        });
    }

    static String base64(byte[] bytes) { return bytes == null ? null : Base64.getEncoder().encodeToString(bytes); }

    /** Record i goes to partition i % partitions with the value "partition:sequence", padded to `size` with dots or noise. */
    static void write(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        Properties properties = connect(in);
        boolean transactional = in.hasNonNull("transactional_id");
        if (transactional) properties.put("transactional.id", in.get("transactional_id").asText());
        properties.put("compression.type", in.get("compression").asText());
        properties.put("linger.ms", "5");
        properties.put("batch.size", "65536");
        properties.put("max.request.size", "8388608");
        long count = in.get("records").asLong(), first = in.get("first_sequence").asLong();
        int partitions = in.get("partitions").asInt(), size = in.get("size").asInt();
        boolean incompressible = in.get("incompressible").asBoolean();
        var sent = new ArrayList<Future<RecordMetadata>>();
        try (var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            if (transactional) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            for (long i = 0; i < count; i++) {
                int partition = (int) (i % partitions);
                byte[] value = value(partition, first + i / partitions, size, incompressible);
                var future = producer.send(new ProducerRecord<>(topic(in), partition, null, value));
                if (i >= count - partitions) sent.add(future);
            }
            producer.flush();
            for (var future : sent) future.get();
            if (transactional && in.get("abort").asBoolean()) producer.abortTransaction();
            else if (transactional) producer.commitTransaction();
        }
    }

    static byte[] value(int partition, long sequence, int size, boolean incompressible) {
        byte[] head = (partition + ":" + sequence + " ").getBytes(StandardCharsets.US_ASCII);
        byte[] value = java.util.Arrays.copyOf(head, Math.max(size, head.length));
        java.util.Arrays.fill(value, head.length, value.length, (byte) '.');
        if (incompressible) {
            var noise = new java.util.Random(sequence);
            for (int at = head.length; at < value.length; at++) value[at] = (byte) noise.nextInt();
        }
        return value;
    }

    /** Counts what `write` with the same arguments should have left after any number of exact copies: each record once. */
    static void verifyCopy(JsonNode in, Consumer<ObjectNode> line) throws Exception {
        long count = in.get("records").asLong();
        int partitions = in.get("partitions").asInt();
        var seen = new BitSet[partitions];
        var next = new HashMap<Long, Long>();
        for (int p = 0; p < partitions; p++) seen[p] = new BitSet();
        long[] totals = new long[4]; // records, duplicated, out of order, foreign
        scan(in, record -> {
            totals[0]++;
            String text = new String(record.value(), StandardCharsets.US_ASCII);
            int colon = text.indexOf(':'), space = text.indexOf(' ');
            int source = Integer.parseInt(text.substring(0, colon));
            int sequence = Integer.parseInt(text.substring(colon + 1, space < 0 ? text.length() : space));
            if (source < 0 || source >= partitions || sequence < 0 || (long) sequence * partitions + source >= count) {
                totals[3]++;
                return;
            }
            if (seen[source].get(sequence)) totals[1]++;
            seen[source].set(sequence);
            // Order is judged per source partition within each target partition.
            Long before = next.put((long) record.partition() << 32 | source, (long) sequence);
            if (before != null && before > sequence) totals[2]++;
        });
        long found = 0;
        for (BitSet bits : seen) found += bits.cardinality();
        line.accept(JSON.createObjectNode().put("records", totals[0]).put("lost", count - found)
            .put("duplicated", totals[1]).put("out_of_order", totals[2]).put("foreign", totals[3]));
    }
}
