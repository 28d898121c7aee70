#include "broker/charge.hpp"

namespace fastrpc::broker {

Charge& Charge::operator=(Charge&& other) noexcept {
    if (this == &other) return *this;
    give_back();
    ledger_ = std::exchange(other.ledger_, nullptr);
    key_ = other.key_;
    amount_ = other.amount_;
    return *this;
}

void Charge::give_back() noexcept {
    if (Ledger* ledger = std::exchange(ledger_, nullptr)) ledger->give_back(key_, amount_);
}

std::optional<Charge> Ledger::take(std::uint64_t key, std::uint64_t amount, std::uint64_t limit) {
    const std::uint64_t sum = used(key);
    if (sum > limit || amount > limit - sum) return std::nullopt;
    return record(key, amount);
}

Charge Ledger::record(std::uint64_t key, std::uint64_t amount) {
    if (amount == 0) return {};
    sums_[key] += amount;
    total_ += amount;
    return {*this, key, amount};
}

std::uint64_t Ledger::used(std::uint64_t key) const noexcept {
    const auto found = sums_.find(key);
    return found == sums_.end() ? 0 : found->second;
}

void Ledger::give_back(std::uint64_t key, std::uint64_t amount) noexcept {
    const auto found = sums_.find(key);
    found->second -= amount;
    total_ -= amount;
    if (found->second == 0) sums_.erase(found);
}

} // namespace fastrpc::broker
