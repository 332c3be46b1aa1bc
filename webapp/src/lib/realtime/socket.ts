/**
 * The one place for the socket. It joins the open deployment after every (re)connection and passes on what arrives;
 * it keeps no state of alerts itself.
 */
import { io, type Socket } from 'socket.io-client';
import type { DeploymentEvent, HealthMessage, JoinReply, PresenceMessage } from '../api/types';

export interface SocketHandlers {
  /** The server closed the door or would not open it: is the session over? Try again only when it is not. */
  refused(): Promise<boolean>;
  /** Joined, with the server's last number: the listener fetches what it missed. */
  joined(deploymentId: string, lastSeq: number): void;
  disconnected(): void;
  event(event: DeploymentEvent): void;
  presence(message: PresenceMessage): void;
  health(message: HealthMessage): void;
  signedOut(): void;
}

const JOIN_WITHIN_MS = 5_000;
const REJOIN_AFTER_MS = 2_000;

export class LiveSocket {
  private socket: Socket | null = null;
  private deploymentId: string | null = null;

  constructor(private readonly handlers: SocketHandlers) {}

  join(deploymentId: string): void {
    this.deploymentId = deploymentId;
    if (this.socket?.connected) this.sendJoin(deploymentId);
    else this.connect();
  }

  received(deploymentId: string, seq: number): void {
    this.socket?.emit('received', { deployment_id: deploymentId, seq });
  }

  leave(): void {
    this.deploymentId = null;
    this.socket?.disconnect();
    this.socket = null;
  }

  private connect(): void {
    if (this.socket) {
      this.socket.connect();
      return;
    }
    const socket = io({
      transports: ['websocket'],
      reconnectionDelay: 500,
      reconnectionDelayMax: 5_000,
    });
    socket.on('connect', () => {
      if (this.deploymentId) this.sendJoin(this.deploymentId);
    });
    const lost = (): void => {
      this.handlers.disconnected();
      // Socket.IO comes back by itself after a lost line, but not after the server's own "no".
      if (!socket.active) setTimeout(() => void this.knock(socket), REJOIN_AFTER_MS);
    };
    socket.on('disconnect', lost);
    socket.on('connect_error', lost);
    socket.on('event', (event: DeploymentEvent) => this.handlers.event(event));
    socket.on('presence', (message: PresenceMessage) => this.handlers.presence(message));
    socket.on('health', (message: HealthMessage) => this.handlers.health(message));
    socket.on('signed_out', () => this.handlers.signedOut());
    this.socket = socket;
  }

  private async knock(socket: Socket): Promise<void> {
    if (this.socket === socket && !socket.connected && (await this.handlers.refused())) socket.connect();
  }

  private sendJoin(deploymentId: string): void {
    this.socket
      ?.timeout(JOIN_WITHIN_MS)
      .emit('join', { deployment_id: deploymentId }, (failure: Error | null, reply?: JoinReply) => {
        if (this.deploymentId !== deploymentId) return; // another deployment was opened meanwhile
        if (!failure && reply?.ok) this.handlers.joined(deploymentId, reply.last_seq);
        else setTimeout(() => this.deploymentId === deploymentId && this.join(deploymentId), REJOIN_AFTER_MS);
      });
  }
}
