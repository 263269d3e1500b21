import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Takes users and rights away, and changes what a listener shows and trusts: {@code BOOTSTRAP forget USER},
 * {@code BOOTSTRAP deny USER TYPE NAME} or {@code BOOTSTRAP roll LISTENER KEYSTORE TRUSTSTORE}.
 */
public class Secure {
    public static void main(String[] arguments) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            if (arguments[1].equals("roll")) {
                roll(admin, "listener.name." + arguments[2] + ".ssl.", arguments[3], arguments[4]);
                return;
            }
            String user = arguments[2];
            if (arguments[1].equals("forget")) {
                var all = List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512);
                for (ScramMechanism mechanism : all) {
                    admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, mechanism))).all().get();
                }
            } else {
                var resource = new ResourcePattern(ResourceType.fromString(arguments[3]), arguments[4], PatternType.LITERAL);
                var denied = new AccessControlEntry("User:" + user, "*", AclOperation.ALL, AclPermissionType.DENY);
                admin.createAcls(List.of(new AclBinding(resource, denied))).all().get();
            }
        }
    }

    private static void roll(Admin admin, String prefix, String keystore, String truststore) throws Exception {
        var changes = List.of(
            set(prefix + "keystore.type", "PEM"), set(prefix + "keystore.location", keystore),
            set(prefix + "truststore.type", "PEM"), set(prefix + "truststore.location", truststore));
        var broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        admin.incrementalAlterConfigs(Map.of(broker, changes)).all().get();
    }

    private static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }
}
