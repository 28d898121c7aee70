// Charges: a share of a quota as an object.
//
// A charge is taken before the thing that it pays for becomes reachable, travels with that thing, and gives its share
// back when the thing dies: no path, error or not, can forget it. A ledger keeps one sum per key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

namespace fastrpc::broker {

class Ledger;

/// Move-only; its ledger outlives it.
class Charge {
public:
    Charge() noexcept = default;
    Charge(Charge&& other) noexcept :
        ledger_(std::exchange(other.ledger_, nullptr)), key_(other.key_), amount_(other.amount_) {}
    Charge& operator=(Charge&& other) noexcept;
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;
    ~Charge() { give_back(); }

    void give_back() noexcept;
    /// 0 for an empty charge and for one given back.
    [[nodiscard]] std::uint64_t amount() const noexcept { return ledger_ == nullptr ? 0 : amount_; }

private:
    friend class Ledger;
    Charge(Ledger& ledger, std::uint64_t key, std::uint64_t amount) noexcept :
        ledger_(&ledger), key_(key), amount_(amount) {}
    Ledger* ledger_ = nullptr;
    std::uint64_t key_ = 0;
    std::uint64_t amount_ = 0;
};

class Ledger {
public:
    Ledger() = default;
    Ledger(const Ledger&) = delete;
    Ledger& operator=(const Ledger&) = delete;

    /// A charge of `amount` when the sum of `key` stays at or below `limit`, else nothing.
    [[nodiscard]] std::optional<Charge> take(std::uint64_t key, std::uint64_t amount, std::uint64_t limit);
    /// A charge for what exists already, such as a session of a host that came back: even above any limit.
    [[nodiscard]] Charge record(std::uint64_t key, std::uint64_t amount);

    [[nodiscard]] std::uint64_t used(std::uint64_t key) const noexcept;
    /// Keys with a sum above 0: an idle ledger holds no memory of anybody.
    [[nodiscard]] std::size_t keys() const noexcept { return sums_.size(); }
    /// Over all keys.
    [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

private:
    friend class Charge;
    void give_back(std::uint64_t key, std::uint64_t amount) noexcept;
    std::unordered_map<std::uint64_t, std::uint64_t> sums_;
    std::uint64_t total_ = 0;
};

} // namespace fastrpc::broker
