import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Takes users and rights away: {@code BOOTSTRAP forget USER} or {@code BOOTSTRAP deny USER TYPE NAME}. */
public class Secure {
    public static void main(String[] arguments) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
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
}
