// Whom a file means: users, groups and labels by their names, turned into what the bus says of a caller.
#pragma once

#include "policy/rule.hpp"
#include "settings/checks.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fastrpc::policy {

/// Reads the accounts of one file.
class AccountReader : public settings::Checks {
public:
    using Checks::Checks;

    /// A name, or a uid as a number; none when this machine has no such user.
    [[nodiscard]] Result<std::optional<std::uint32_t>> user(const settings::JsonValue& item) const;
    [[nodiscard]] Result<std::optional<std::uint32_t>> group(const settings::JsonValue& item) const;
};

/// Reads the "subject" of the rules of one file.
class SubjectReader : public AccountReader {
public:
    /// `warnings` gets a line for each account that this machine does not have.
    SubjectReader(const std::string& file, std::vector<std::string>& warnings) :
        AccountReader(file), warnings_(warnings) {}

    Status read(const settings::JsonValue& value, const std::string& rule, Who& who);

private:
    Status read_list(const settings::JsonMember& member, Who& who);
    Status read_user(const settings::JsonValue& item, Who& who);
    Status read_group(const settings::JsonValue& item, Who& who);
    Status read_label(const settings::JsonValue& item, Who& who) const;
    [[nodiscard]] Result<UidRange> uid_range(const settings::JsonValue& item) const;
    void warn_of_missing(const settings::JsonValue& item, std::string_view what);

    std::vector<std::string>& warnings_;
    std::string rule_;
};

} // namespace fastrpc::policy
